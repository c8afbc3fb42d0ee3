"""Starting, following and deleting fine-tunes."""

from datetime import datetime
from typing import Any

from domain import ids
from domain.base_models import BaseModel
from domain.datasets import OF_JOB, Dataset, RunStatus
from domain.errors import Conflict, Invalid, NotFound
from domain.finetunes import (
    MAX_SEED,
    Finetune,
    FinetuneMethod,
    Hyperparameters,
    NewFinetune,
    Refusal,
    Selection,
    already_running,
    model_name,
)
from domain.ids import Noun
from domain.jobs import Job, JobType, Runner, new_job
from domain.projects import Project, require_active
from domain.reading import require, require_locked
from domain.rules import named, within
from domain.store import Store


async def create(
    store: Store, new: NewFinetune, refusal: Refusal, *, viewer_id: str, now: datetime
) -> tuple[Finetune, Job]:
    """Freeze what is learned and queue the training, both or neither; an EXTERNAL run may use any method."""
    project = await require_locked(store.projects, new.project_id, viewer_id=viewer_id)
    require_active(project)
    base = await _require_base(store, new.base_model_name)
    given = dict(new.hyperparameters or {})
    hyperparameters = base.hyperparameters(given, max_seq_length=_length(project, base))
    method = _method(new, refusal)
    dataset = await _require_done(store, project, new.training_dataset_id)
    await _require_free(store, project)
    finetune = await _record(store, project, base, dataset, new, method, hyperparameters, now=now)
    job = new_job(
        JobType.FINETUNE,
        project_id=project.id,
        owner_id=viewer_id,
        subject_id=finetune.id,
        runner=new.runner,
        now=now,
    )
    await store.jobs.add(job)
    if new.runner is Runner.LOCAL:
        await store.jobs.enqueue(job)
    return finetune, job


def _length(project: Project, base: BaseModel) -> int:
    return min(project.max_seq_length, base.max_position_embeddings or project.max_seq_length)


async def _require_base(store: Store, name: str) -> BaseModel:
    base = await store.base_models.by_model_id(name)
    if base is None:
        raise Invalid(
            f"There is no base model '{name}'; `baseModels` lists those that may be tuned here.",
            reason="UNKNOWN_BASE_MODEL",
            field="baseModelName",
        )
    return base


def _method(new: NewFinetune, refusal: Refusal) -> FinetuneMethod:
    method = new.method or FinetuneMethod.LORA
    sentence = refusal(method) if new.runner is Runner.LOCAL else None
    if sentence is not None:
        raise Invalid(sentence, reason="METHOD_UNAVAILABLE", field="method")
    return method


async def _require_done(store: Store, project: Project, dataset_id: str) -> Dataset:
    """The project's dataset, which must be DONE."""
    dataset = await store.datasets.lock(dataset_id, viewer_id=project.owner_id)
    if dataset is None or dataset.project_id != project.id:
        raise NotFound(
            f"The project has no dataset {dataset_id}.", reason="DATASET_NOT_FOUND", field="trainingDatasetId"
        )
    if dataset.status is not RunStatus.DONE:
        raise Conflict(
            f"The dataset is {dataset.status}; training needs one that is DONE.",
            reason="DATASET_NOT_DONE",
            field="trainingDatasetId",
        )
    return dataset


async def _require_free(store: Store, project: Project) -> None:
    """Raise `Conflict` while a training of the project is planned or under way."""
    running = await store.finetunes.running_in(project.id)
    if running is not None:
        raise already_running(running)


async def _record(
    store: Store,
    project: Project,
    base: BaseModel,
    dataset: Dataset,
    new: NewFinetune,
    method: FinetuneMethod,
    hyperparameters: Hyperparameters,
    *,
    now: datetime,
) -> Finetune:
    if (number := new.training_dataset_number_examples) is not None:
        within(number, "trainingDatasetNumberExamples", 1, 100_000_000)
    within(new.seed or 0, "seed", 0, MAX_SEED)
    version = await store.projects.next_version(project.id, Noun.FINETUNE)
    finetune = Finetune(
        id=ids.new(Noun.FINETUNE),
        project_id=project.id,
        owner_id=project.owner_id,
        version=version,
        model_name=model_name(base.model_id, project.name, version),
        output_name=None if new.output_name is None else named(new.output_name, "outputName"),
        base_model_name=base.model_id,
        base_model_id=base.id,
        method=method,
        hyperparameters=hyperparameters,
        dataset_id=dataset.id,
        training_dataset_number_examples=number,
        training_dataset_select_random=new.training_dataset_select_random,
        seed=new.seed or 0,
        created_at=now,
    )
    await store.finetunes.add(finetune)
    return await _freeze(store, finetune, dataset)


async def _freeze(store: Store, finetune: Finetune, dataset: Dataset) -> Finetune:
    """Fix the items; raises `Invalid` when there is nothing to learn."""
    selection = Selection(
        number=finetune.training_dataset_number_examples,
        random=finetune.training_dataset_select_random,
        seed=finetune.seed,
    )
    count, content_hash = await store.frozen_items.freeze(finetune.id, dataset, selection)
    if not count:
        raise Invalid(
            "The dataset has no valid items to train on.", reason="NO_VALID_ITEMS", field="trainingDatasetId"
        )
    values = {"trained_item_count": count, "trained_content_hash": content_hash}
    await store.finetunes.change(finetune.id, values)
    return await require(store.finetunes, finetune.id, viewer_id=finetune.owner_id)


async def apply_job_status(store: Store, job: Job) -> None:
    """A fine-tune is what its job makes of it."""
    values: dict[str, Any] = {"status": OF_JOB[job.status], "error": job.error}
    if job.started_at is not None:
        values["started_at"] = job.started_at
    if job.finished_at is not None:
        values["completed_at"] = job.finished_at
    await store.finetunes.change(job.subject_id, values)


async def delete(store: Store, id: str, *, viewer_id: str) -> str:
    """Delete a fine-tune and its files; not while it is trained or deployed."""
    found = await require(store.finetunes, id, viewer_id=viewer_id)
    await store.projects.lock(found.project_id, viewer_id=viewer_id)  # first, as everywhere: no deadlock
    finetune = await require_locked(store.finetunes, id, viewer_id=viewer_id)
    if finetune.status in {RunStatus.PLANNING, RunStatus.RUNNING}:
        raise Conflict(
            "The fine-tune is still being trained; cancel it first.", reason="TRAINING_RUNNING", field="id"
        )
    if await store.deployments.of_finetune(id):
        raise Conflict(
            "The fine-tune is deployed; delete the deployment first.", reason="FINETUNE_DEPLOYED", field="id"
        )
    await store.background_tasks.delete_files([finetune.prefix])
    await store.background_tasks.unload([id])
    await store.finetunes.delete(id)
    return id


async def job_of(store: Store, id: str, *, viewer_id: str) -> tuple[Finetune, Job]:
    """A fine-tune with its newest job; raises `NotFound`."""
    finetune = await require(store.finetunes, id, viewer_id=viewer_id)
    return finetune, (await store.jobs.latest([id], viewer_id=viewer_id))[id]
