"""Projects: records and rules."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from domain.errors import Invalid
from domain.ids import Noun
from domain.jobs import JobStatus
from domain.reading import LockingReads, Reads
from domain.rules import check_range, validated_name, validated_text


class TaskType(StrEnum):
    """Task of a project's model."""

    INSTRUCTION = "INSTRUCTION"
    QA = "QA"
    CHAT = "CHAT"
    SUMMARIZATION = "SUMMARIZATION"
    CLASSIFICATION = "CLASSIFICATION"
    EXTRACTION = "EXTRACTION"
    VIDEO_CLASSIFICATION = "VIDEO_CLASSIFICATION"
    VIDEO_CAPTIONING = "VIDEO_CAPTIONING"


class ProjectStatus(StrEnum):
    """Status of a project; nothing new is made in one that is ARCHIVED."""

    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"


class ProjectStage(StrEnum):
    """Stage of a project: a job that runs or failed last decides, else the furthest stage that was reached.

    Derived from the project's objects (`infra/db/projects.py`), never stored.
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
    """A project and its settings. `train_eval_split` is the fraction of items to train on, in (0, 1]."""

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

    def validated(self) -> "Project":
        """The project with its texts trimmed; raises `Invalid` when a value breaks a rule."""
        check_range(self.num_examples_target, "config.numExamplesTarget", 1, 1_000_000)
        check_range(self.max_seq_length, "config.maxSeqLength", 16, 1_048_576)
        check_range(self.train_eval_split, "config.trainEvalSplit", 0, 1, open_low=True)
        if self.description is not None:
            validated_text(self.description, "description")
        return replace(self, name=validated_name(self.name, "name"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectStats:
    """Numbers of a project's objects, and the status of its newest job."""

    document_count: int = 0
    chunk_count: int = 0
    item_count: int = 0
    dataset_count: int = 0
    finetune_count: int = 0
    deployment_count: int = 0
    last_job_status: JobStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFilter:
    """Conditions that listed projects fulfill."""

    status: ProjectStatus | None = None
    stage: ProjectStage | None = None
    name_contains: str | None = None


class ProjectReads(Reads[Project], Protocol):
    """Reads projects."""

    async def stats(self, ids: list[str], *, viewer_id: str) -> dict[str, ProjectStats]: ...
    async def stages(self, ids: list[str], *, viewer_id: str) -> dict[str, ProjectStage]: ...
    async def file_prefixes(self, id: str) -> list[str]:
        """The storage prefixes of the project's files."""
        ...

    async def model_ids(self, id: str) -> list[str]:
        """The ids of the project's models that a model runtime may have loaded."""
        ...


class Projects(ProjectReads, LockingReads[Project], Protocol):
    """Reads and writes projects."""

    async def add(self, project: Project) -> None: ...
    async def change(self, id: str, values: Mapping[str, Any]) -> None: ...
    async def next_version(self, id: str, noun: Noun) -> int:
        """The next version number of a project's datasets or fine-tunes; no number is used twice."""
        ...

    async def delete(self, id: str) -> None:
        """Delete the project with everything under it."""
        ...


REQUIRED = frozenset(
    {"name", "task_type", "status", "num_examples_target", "max_seq_length", "train_eval_split"}
)
"""Attributes that an update cannot clear."""


def require_active(project: Project) -> None:
    """Raise `Invalid` when a project is ARCHIVED."""
    if project.status is ProjectStatus.ARCHIVED:
        raise Invalid(
            "The project is archived; make it ACTIVE again first.",
            reason="PROJECT_ARCHIVED",
            field="projectId",
        )
