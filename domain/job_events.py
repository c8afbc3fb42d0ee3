"""What a job says while it works."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.errors import Invalid
from domain.jobs import Job, JobStatus
from domain.reading import Pages
from domain.training_points import TrainingPoint


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the whole run has come, 0.0 to 1.0, and what it is doing now."""

    progress: float
    message: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One optimiser step or one evaluation, out of `total_steps`."""

    point: TrainingPoint
    total_steps: int
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint is whole on disk."""

    step: int
    path: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line for the run's log."""

    line: str


class JobEventKind(StrEnum):
    """What an event tells."""

    STATUS = "STATUS"
    PROGRESS = "PROGRESS"
    METRIC = "METRIC"
    CHECKPOINT = "CHECKPOINT"
    LOG = "LOG"


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """A job moved to another status."""

    status: JobStatus
    error: str | None = None


Event = StatusChanged | Progress | Metric | Checkpoint | LogLine


KINDS: dict[type[Event], JobEventKind] = {
    StatusChanged: JobEventKind.STATUS,
    Progress: JobEventKind.PROGRESS,
    Metric: JobEventKind.METRIC,
    Checkpoint: JobEventKind.CHECKPOINT,
    LogLine: JobEventKind.LOG,
}


@dataclass(frozen=True, slots=True, weakref_slot=True)
class RecordedEvent:
    """An event as it is kept: `seq` counts 1, 2, 3 … within its job. What is made of it may go when it goes."""

    job_id: str
    seq: int
    at: datetime
    event: Event

    @property
    def kind(self) -> JobEventKind:
        """What it tells."""
        return KINDS[type(self.event)]


def place_of(cursor: str | None, *, field: str = "after") -> int:
    """The place that a cursor of a job's events names, 0 for none; raises `Invalid` for anything else."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):  # what a 64-bit number can hold
        raise Invalid("This is not a cursor of a job's events.", reason="INVALID_CURSOR", field=field)
    return int(cursor)


class JobEventReads(Pages, Protocol):
    """The events of jobs, oldest first, as they can be read; filtered by `frozenset[JobEventKind]`."""

    async def after(self, job_id: str, seq: int, limit: int = 500) -> list[RecordedEvent]:
        """The next events of a job; who may see it was asked before."""
        ...

    async def logs(self, job_ids: list[str], lines: int) -> dict[str, list[str]]:
        """The last lines of each job's log, oldest first."""
        ...


class JobEvents(JobEventReads, Protocol):
    """The events that are kept."""

    async def append(self, job: Job, events: Sequence[Event]) -> None:
        """Record events. Raises `Superseded` unless `job.attempt` is the job's attempt and it is not final."""
        ...
