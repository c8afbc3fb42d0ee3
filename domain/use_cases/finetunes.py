"""Use cases of fine-tunes."""

from datetime import datetime
from typing import Any

from domain import ids
from domain.base_models import BaseModel, ModelType, require_trainable
from domain.conversations import ItemFormat
from domain.datasets import RUN_STATUS_OF_JOB, UNFINISHED, Dataset, RunStatus
from domain.errors import Conflict, Invalid
from domain.finetunes import (
    MAX_SEED,
    Finetune,
    ItemSampling,
    NewFinetune,
    RejectionReason,
    model_name,
    training_already_running_error,
)
from domain.hyperparameters import FinetuneMethod, Hyperparameters, TrainingObjective
from domain.ids import Noun
from domain.jobs import Job, JobType, Runner, new_job
from domain.projects import Project, require_active
from domain.reading import require, require_locked, require_locked_in_project
from domain.rules import check_range, validated_name
from domain.store import ReadStore, Store


async def create(
    store: Store, new: NewFinetune, rejection_reason: RejectionReason, *, viewer_id: str, now: datetime
) -> tuple[Finetune, Job]:
    """A new fine-tune with frozen items, and its job. `rejection_reason` is called for LOCAL runs only."""
    project = await require_locked(store.projects, new.project_id, viewer_id=viewer_id)
    require_active(project)
    base = await _require_base_model(store, new.base_model_name)
    require_trainable(base, is_local=new.runner is Runner.LOCAL)
    overrides = dict(new.hyperparameters or {})
    hyperparameters = base.hyperparameters(
        overrides, max_seq_length=_max_seq_length(project, base), objective=new.objective
    )
    method = _accepted_method(new, rejection_reason)
    dataset = await _require_done_dataset(store, project, new.training_dataset_id)
    _require_matching_objective(new.objective, dataset.item_format)
    await _require_no_training(store, project)
    finetune = await _add(store, project, base, dataset, new, method, hyperparameters, now=now)
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


def _max_seq_length(project: Project, base: BaseModel) -> int:
    return min(project.max_seq_length, base.max_position_embeddings or project.max_seq_length)


async def _require_base_model(store: ReadStore, name: str) -> BaseModel:
    base = await store.base_models.by_model_id(name)
    if base is None:
        raise Invalid(
            f"There is no base model '{name}'; `baseModels` lists those that can be fine-tuned.",
            reason="UNKNOWN_BASE_MODEL",
            field="baseModelName",
        )
    return base


def _accepted_method(new: NewFinetune, rejection_reason: RejectionReason) -> FinetuneMethod:
    method = new.method or FinetuneMethod.LORA
    if new.objective is TrainingObjective.DPO and method is FinetuneMethod.FULL:
        raise Invalid(
            "DPO cannot train by FULL: its reference is the base model, which is the model without its adapter; "
            "use LORA or QLORA.",
            reason="METHOD_UNAVAILABLE",
            field="method",
        )
    reason = rejection_reason(method) if new.runner is Runner.LOCAL else None
    if reason is not None:
        raise Invalid(reason, reason="METHOD_UNAVAILABLE", field="method")
    return method


async def _require_done_dataset(store: Store, project: Project, dataset_id: str) -> Dataset:
    dataset = await require_locked_in_project(
        store.datasets, dataset_id, project.id, viewer_id=project.owner_id, field="trainingDatasetId"
    )
    if dataset.status is not RunStatus.DONE:
        raise Conflict(
            f"The dataset is {dataset.status}; training needs one that is DONE.",
            reason="DATASET_NOT_DONE",
            field="trainingDatasetId",
        )
    return dataset


def _require_matching_objective(objective: TrainingObjective, item_format: ItemFormat) -> None:
    has_preferences = item_format is ItemFormat.PREFERENCE
    if has_preferences is (objective is TrainingObjective.DPO):
        return
    raise Invalid(
        "The dataset has preference pairs, which the objective DPO trains on, and SFT cannot."
        if has_preferences
        else f"DPO trains on preference pairs, and the dataset's items are of the format {item_format}; use SFT, or a "
        f"dataset of the format {ItemFormat.PREFERENCE}.",
        reason="OBJECTIVE_MISMATCH",
        field="objective",
    )


async def _require_no_training(store: ReadStore, project: Project) -> None:
    running = await store.finetunes.running_in(project.id)
    if running is not None:
        raise training_already_running_error(running)


async def _add(
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
        check_range(number, "trainingDatasetNumberExamples", 1, 100_000_000)
    check_range(new.seed or 0, "seed", 0, MAX_SEED)
    version = await store.projects.next_version(project.id, Noun.FINETUNE)
    finetune = Finetune(
        id=ids.new(Noun.FINETUNE),
        project_id=project.id,
        owner_id=project.owner_id,
        version=version,
        model_name=model_name(base.model_id, project.name, version),
        output_name=None if new.output_name is None else validated_name(new.output_name, "outputName"),
        base_model_name=base.model_id,
        base_model_id=base.id,
        objective=new.objective,
        method=method,
        hyperparameters=hyperparameters,
        dataset_id=dataset.id,
        training_dataset_number_examples=number,
        training_dataset_select_random=new.training_dataset_select_random,
        seed=new.seed or 0,
        created_at=now,
    )
    await store.finetunes.add(finetune)
    return await _freeze_items(store, finetune, dataset)


async def _freeze_items(store: Store, finetune: Finetune, dataset: Dataset) -> Finetune:
    sampling = ItemSampling(
        number=finetune.training_dataset_number_examples,
        random=finetune.training_dataset_select_random,
        seed=finetune.seed,
    )
    count, content_hash = await store.frozen_items.freeze(finetune.id, dataset, sampling)
    if not count:
        raise Invalid(
            "The dataset has no valid items to train on.", reason="NO_VALID_ITEMS", field="trainingDatasetId"
        )
    values = {"trained_item_count": count, "trained_content_hash": content_hash}
    await store.finetunes.change(finetune.id, values)
    return await require(store.finetunes, finetune.id, viewer_id=finetune.owner_id)


async def apply_job_status(store: Store, job: Job) -> None:
    """Set a fine-tune's status and times from its job's."""
    values: dict[str, Any] = {"status": RUN_STATUS_OF_JOB[job.status], "error": job.error}
    if job.started_at is not None:
        values["started_at"] = job.started_at
    if job.finished_at is not None:
        values["completed_at"] = job.finished_at
    await store.finetunes.change(job.subject_id, values)


async def delete(store: Store, id: str, *, viewer_id: str) -> str:
    """Delete a fine-tune and its files; raises `Conflict` while it is trained or deployed."""
    found = await require(store.finetunes, id, viewer_id=viewer_id)
    await store.projects.lock(found.project_id, viewer_id=viewer_id)  # always before its objects: no deadlock
    finetune = await require_locked(store.finetunes, id, viewer_id=viewer_id)
    if finetune.status in UNFINISHED:
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


async def is_video_model(store: ReadStore, finetune: Finetune) -> bool:
    """Whether the base model is a video model; one that is no longer offered counts as a text model."""
    base = await store.base_models.by_model_id(finetune.base_model_name)
    return base is not None and base.model_type is not ModelType.TEXT_GENERATION


async def require_text_model(store: ReadStore, finetune: Finetune) -> None:
    """Raise `Invalid` for a fine-tune of a video model, which the model runtime cannot load."""
    if await is_video_model(store, finetune):
        raise Invalid(
            "A fine-tune of a video model cannot be deployed or prompted: the model runtime loads text models only.",
            reason="VIDEO_MODEL",
            field="finetuneId",
        )


async def require_with_job(store: ReadStore, id: str, *, viewer_id: str) -> tuple[Finetune, Job]:
    """The viewer's fine-tune and its newest job; raises `NotFound`."""
    finetune = await require(store.finetunes, id, viewer_id=viewer_id)
    return finetune, (await store.jobs.latest([id], viewer_id=viewer_id))[id]
