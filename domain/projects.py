"""Projects: what a person works on, and how far it has come."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from domain import accounts, ids
from domain.errors import Invalid, NotFound, no_such
from domain.jobs import JobStatus
from domain.pages import Reads
from domain.patches import changes
from domain.rules import bounded, named, within

if TYPE_CHECKING:
    from domain.store import Store


class TaskType(StrEnum):
    """What the tuned model is for."""

    INSTRUCTION = "INSTRUCTION"
    QA = "QA"
    CHAT = "CHAT"
    SUMMARIZATION = "SUMMARIZATION"
    CLASSIFICATION = "CLASSIFICATION"
    EXTRACTION = "EXTRACTION"
    VIDEO_CLASSIFICATION = "VIDEO_CLASSIFICATION"
    VIDEO_CAPTIONING = "VIDEO_CAPTIONING"


class ProjectStatus(StrEnum):
    """Whether a project is worked on."""

    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"


class ProjectStage(StrEnum):
    """How far a project has come: the furthest that holds, but what is under way or failed last comes first.

    Derived from what the project holds (`infra/db/projects.py`), never stored.
    """

    DRAFT = "DRAFT"
    DOCUMENTS_READY = "DOCUMENTS_READY"
    GENERATING = "GENERATING"
    READY_TO_TRAIN = "READY_TO_TRAIN"
    TRAINING = "TRAINING"
    TRAINED = "TRAINED"
    DEPLOYED = "DEPLOYED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project and its settings. `train_eval_split` is the training share of the items, in (0, 1]."""

    id: str
    owner_id: str
    name: str
    description: str | None = None
    task_type: TaskType = TaskType.INSTRUCTION
    status: ProjectStatus = ProjectStatus.ACTIVE
    num_examples_target: int = 2000
    max_seq_length: int = 2048
    train_eval_split: float = 0.9
    base_model_id: str | None = None
    training_dataset_id: str | None = None
    finetune_id: str | None = None
    created_at: datetime
    updated_at: datetime

    def checked(self) -> "Project":
        """The project with its texts trimmed; raises `Invalid` when a value breaks a rule."""
        within(self.num_examples_target, "config.numExamplesTarget", 1, 1_000_000)
        within(self.max_seq_length, "config.maxSeqLength", 16, 1_048_576)
        within(self.train_eval_split, "config.trainEvalSplit", 0, 1, open_low=True)
        if self.description is not None:
            bounded(self.description, "description")
        return replace(self, name=named(self.name, "name"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectStats:
    """How much a project holds."""

    document_count: int = 0
    chunk_count: int = 0
    item_count: int = 0
    dataset_count: int = 0
    finetune_count: int = 0
    deployment_count: int = 0
    last_job_status: JobStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFilter:
    """Which projects a list shows."""

    status: ProjectStatus | None = None
    stage: ProjectStage | None = None
    name_contains: str | None = None


class Projects(Reads[Project], Protocol):
    """The projects that are kept."""

    async def add(self, project: Project) -> None: ...
    async def change(self, id: str, values: Mapping[str, Any]) -> None: ...
    async def lock(self, id: str, *, viewer_id: str) -> Project | None:
        """Read a project that nobody else may count up or delete until the transaction ends."""
        ...

    async def next_version(self, id: str, noun: str) -> int:
        """The next version number of a project's datasets or fine-tunes; none is given twice."""
        ...

    async def delete(self, id: str) -> None:
        """Delete the project with everything under it."""
        ...

    async def stats(self, ids: list[str], *, viewer_id: str) -> dict[str, ProjectStats]: ...
    async def stages(self, ids: list[str], *, viewer_id: str) -> dict[str, ProjectStage]: ...
    async def file_prefixes(self, id: str) -> list[str]:
        """Where the project's files are in storage."""
        ...

    async def model_ids(self, id: str) -> list[str]:
        """The fine-tunes that a model runtime may have loaded."""
        ...


def missing(id: str) -> NotFound:
    """What is said of a project that is not there, or another's."""
    return NotFound(no_such("project", id), reason="PROJECT_NOT_FOUND", field="projectId")


async def require(store: "Store", id: str, *, viewer_id: str) -> Project:
    """The viewer's project; raises `NotFound`."""
    project = await store.projects.get(id, viewer_id=viewer_id)
    if project is None:
        raise missing(id)
    return project


async def require_locked(store: "Store", id: str, *, viewer_id: str) -> Project:
    """The viewer's project, held until the transaction ends; raises `NotFound`."""
    project = await store.projects.lock(id, viewer_id=viewer_id)
    if project is None:
        raise missing(id)
    return project


async def create(store: "Store", values: Mapping[str, Any], *, viewer_id: str, now: datetime) -> Project:
    """A new, empty, active project of the viewer's."""
    await accounts.require(store, viewer_id)
    project = Project(id=ids.new("Project"), owner_id=viewer_id, created_at=now, updated_at=now, **values)
    project = project.checked()
    await store.projects.add(project)
    return project


REQUIRED = frozenset(
    {"name", "task_type", "status", "num_examples_target", "max_seq_length", "train_eval_split"}
)


async def update(
    store: "Store", id: str, patch: Mapping[str, Any], *, viewer_id: str, now: datetime
) -> Project:
    """Change what `patch` names; the chosen dataset and fine-tune must be the project's own."""
    project = await require_locked(store, id, viewer_id=viewer_id)
    changed = changes(project, patch, required=REQUIRED)
    await _check_choices(store, project, changed)
    project = replace(project, **changed, updated_at=now).checked()
    await store.projects.change(id, {name: getattr(project, name) for name in (*changed, "updated_at")})
    return project


async def _check_choices(store: "Store", project: Project, changed: Mapping[str, Any]) -> None:
    """Raise `NotFound` when a chosen dataset, fine-tune or base model is not one that the project can have."""
    for name, reads, word in (
        ("training_dataset_id", store.datasets, "dataset"),
        ("finetune_id", store.finetunes, "fine-tune"),
    ):
        if (chosen := changed.get(name)) is None:
            continue
        found = await reads.get(chosen, viewer_id=project.owner_id)
        if found is None or found.project_id != project.id:
            raise NotFound(f"The project has no {word} {chosen}.", reason="NOT_FOUND", field=name)
    if (model := changed.get("base_model_id")) and not await store.base_models.get(
        model, viewer_id=project.owner_id
    ):
        raise NotFound(no_such("base model", model), reason="NOT_FOUND", field="base_model_id")


async def delete(store: "Store", id: str, *, viewer_id: str) -> str:
    """Delete a project with everything under it; its files and loaded models go once this is committed."""
    project = await require_locked(store, id, viewer_id=viewer_id)
    await store.chores.delete_files(await store.projects.file_prefixes(project.id))
    await store.chores.unload(await store.projects.model_ids(project.id))
    await store.projects.delete(project.id)
    return project.id


def require_active(project: Project) -> None:
    """Raise `Invalid` where a project is archived: nothing new begins in it."""
    if project.status is ProjectStatus.ARCHIVED:
        raise Invalid(
            "The project is archived; make it ACTIVE again first.",
            reason="PROJECT_ARCHIVED",
            field="projectId",
        )
