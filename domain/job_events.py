"""Events of jobs: changes of status, progress, metrics, checkpoints and log lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.errors import Invalid
from domain.jobs import Job, JobStatus
from domain.reading import PagedReads
from domain.training_points import TrainingPoint


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of the whole job from 0.0 to 1.0, and a message about the current step."""

    progress: float
    message: str


@dataclass(frozen=True, slots=True)
class Metric:
    """Metrics of an optimizer step or an evaluation, out of `total_steps` optimizer steps."""

    point: TrainingPoint
    total_steps: int
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint was saved to the worker's disk."""

    step: int
    path: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the job's log."""

    line: str


class JobEventKind(StrEnum):
    """Kind of a job event."""

    STATUS = "STATUS"
    PROGRESS = "PROGRESS"
    METRIC = "METRIC"
    CHECKPOINT = "CHECKPOINT"
    LOG = "LOG"


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The status of a job changed."""

    status: JobStatus
    error: str | None = None


Event = StatusChanged | Progress | Metric | Checkpoint | LogLine


KIND_OF_EVENT: dict[type[Event], JobEventKind] = {
    StatusChanged: JobEventKind.STATUS,
    Progress: JobEventKind.PROGRESS,
    Metric: JobEventKind.METRIC,
    Checkpoint: JobEventKind.CHECKPOINT,
    LogLine: JobEventKind.LOG,
}


@dataclass(frozen=True, slots=True, weakref_slot=True)
class RecordedEvent:
    """A stored event; `seq` is 1, 2, 3 … within its job. Weakly referable, for caches of what is made of it."""

    job_id: str
    seq: int
    at: datetime
    event: Event

    @property
    def kind(self) -> JobEventKind:
        """The kind of its event."""
        return KIND_OF_EVENT[type(self.event)]


def seq_of(cursor: str | None, *, field: str = "after") -> int:
    """The `seq` of a cursor of a job's events, 0 for None; raises `Invalid` when it is malformed."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):  # always within 64 bits
        raise Invalid("This is not a cursor of a job's events.", reason="INVALID_CURSOR", field=field)
    return int(cursor)


class JobEventReads(PagedReads, Protocol):
    """Reads events of jobs, oldest first; pages are filtered by `frozenset[JobEventKind]`."""

    async def after(self, job_id: str, seq: int, limit: int = 500) -> list[RecordedEvent]:
        """The next events of a job, which the caller has checked that the viewer may see."""
        ...

    async def attempts_without_progress(self, job_id: str) -> int:
        """How often a job was started since it last reported its highest progress."""
        ...

    async def logs(self, job_ids: list[str], lines: int) -> dict[str, list[str]]:
        """The last lines of each job's log, oldest first."""
        ...


class JobEvents(JobEventReads, Protocol):
    """Reads and appends events of jobs."""

    async def append(self, job: Job, events: Sequence[Event]) -> None:
        """Append events; raises `Superseded` when the job is final or has another attempt than `job.attempt`."""
        ...
