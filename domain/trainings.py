"""Starting a fine-tune: what may be asked for, and what is frozen then."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from domain import ids, jobs, projects
from domain.base_models import BaseModel
from domain.datasets import Dataset, RunStatus
from domain.errors import Conflict, Invalid, NotFound
from domain.finetunes import Finetune, Selection, already_running, require
from domain.jobs import Job, JobType, Runner
from domain.projects import Project
from domain.rules import named, within
from domain.training import FinetuneMethod, Hyperparameters

if TYPE_CHECKING:
    from domain.store import Store

MAX_SEED = 2**31 - 1
"""What every library that is seeded takes, and GraphQL's Int too."""

Refusal = Callable[[FinetuneMethod], str | None]
"""Why a method cannot run on Luthier's own workers, as a sentence; None where it can."""


def project_slug(name: str) -> str:
    """A project's name as part of a model's name: lower case, letters and digits, spaces to underscores."""
    slug = "".join("_" if c.isspace() else c for c in name.lower() if c.isalnum() or c.isspace())
    return slug if slug.strip("_") else "project"


def model_name(base_model_name: str, project_name: str, version: int) -> str:
    """`{base_model_name}_{project}_v{version}`."""
    return f"{base_model_name}_{project_slug(project_name)}_v{version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFinetune:
    """What is asked for."""

    project_id: str
    base_model_name: str
    training_dataset_id: str
    training_dataset_number_examples: int | None = None
    training_dataset_select_random: bool = False
    seed: int | None = None
    method: FinetuneMethod | None = None
    hyperparameters: Mapping[str, Any] | None = None
    runner: Runner = Runner.LOCAL
    output_name: str | None = None


async def create(
    store: "Store", new: NewFinetune, refusal: Refusal, *, viewer_id: str, now: datetime
) -> tuple[Finetune, Job]:
    """Freeze what is learned and queue the training, both or neither; an EXTERNAL run may use any method."""
    project = await projects.require_locked(store, new.project_id, viewer_id=viewer_id)
    projects.require_active(project)
    base = await _require_base(store, new.base_model_name)
    given = dict(new.hyperparameters or {})
    hyperparameters = base.hyperparameters(given, max_seq_length=_length(project, base))
    method = _method(new, refusal)
    dataset = await _require_done(store, project, new.training_dataset_id)
    await _require_free(store, project)
    finetune = await _record(store, project, base, dataset, new, method, hyperparameters, now=now)
    job = jobs.new(
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


async def _require_base(store: "Store", name: str) -> BaseModel:
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


async def _require_done(store: "Store", project: Project, dataset_id: str) -> Dataset:
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


async def _require_free(store: "Store", project: Project) -> None:
    """Raise `Conflict` while a training of the project is planned or under way."""
    running = await store.finetunes.running_in(project.id)
    if running is not None:
        raise already_running(running)


async def _record(
    store: "Store",
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
    version = await store.projects.next_version(project.id, "finetune")
    finetune = Finetune(
        id=ids.new("Finetune"),
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


async def _freeze(store: "Store", finetune: Finetune, dataset: Dataset) -> Finetune:
    """Fix the items; raises `Invalid` when there is nothing to learn."""
    selection = Selection(
        number=finetune.training_dataset_number_examples,
        random=finetune.training_dataset_select_random,
        seed=finetune.seed,
    )
    count, content_hash = await store.finetunes.freeze_items(finetune.id, dataset, selection)
    if not count:
        raise Invalid(
            "The dataset has no valid items to train on.", reason="NO_VALID_ITEMS", field="trainingDatasetId"
        )
    values = {"trained_item_count": count, "trained_content_hash": content_hash}
    await store.finetunes.change(finetune.id, values)
    return await require(store, finetune.id, viewer_id=finetune.owner_id)
