"""Jobs: work that takes long, who does it, and what it says while it works."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from domain import ids
from domain.errors import Conflict, Invalid, NotFound, no_such
from domain.pages import Page, Reads, Slice
from domain.training import Checkpoint, Line, Measured, Progress

if TYPE_CHECKING:
    from domain.store import Store


class JobType(StrEnum):
    """What a job does."""

    DOCUMENT_READ = "DOCUMENT_READ"
    DATASET_IMPORT = "DATASET_IMPORT"
    FINETUNE = "FINETUNE"
    DEPLOY = "DEPLOY"


class JobStatus(StrEnum):
    """Where a job stands; the last three are final."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


FINAL = frozenset({JobStatus.SUCCESS, JobStatus.FAILED, JobStatus.CANCELLED})


class Runner(StrEnum):
    """Who does the work: a Luthier worker, or a worker of the user's that reports by webhook."""

    LOCAL = "LOCAL"
    EXTERNAL = "EXTERNAL"


class JobEventKind(StrEnum):
    """What an event tells."""

    STATUS = "STATUS"
    PROGRESS = "PROGRESS"
    METRIC = "METRIC"
    CHECKPOINT = "CHECKPOINT"
    LOG = "LOG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work on one subject. `attempt` counts the starts and fences off a replaced worker."""

    id: str
    project_id: str
    owner_id: str
    type: JobType
    status: JobStatus = JobStatus.QUEUED
    subject_id: str
    progress: float = 0.0
    message: str | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    attempt: int = 0
    runner: Runner = Runner.LOCAL
    arguments: Mapping[str, Any] | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in FINAL


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """A job moved to another status."""

    status: JobStatus
    error: str | None = None


Event = StatusChanged | Progress | Measured | Checkpoint | Line

KINDS: dict[type[Event], JobEventKind] = {
    StatusChanged: JobEventKind.STATUS,
    Progress: JobEventKind.PROGRESS,
    Measured: JobEventKind.METRIC,
    Checkpoint: JobEventKind.CHECKPOINT,
    Line: JobEventKind.LOG,
}


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Recorded:
    """An event as it is kept: `seq` counts 1, 2, 3 … within its job. What is made of it may go when it goes."""

    job_id: str
    seq: int
    at: datetime
    event: Event

    @property
    def kind(self) -> JobEventKind:
        """What it tells."""
        return KINDS[type(self.event)]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs a list shows."""

    type: JobType | None = None
    status: JobStatus | None = None


class Replaced(Exception):
    """The job is no longer this worker's: another took it over, or it was cancelled or deleted. Stop."""


class Jobs(Reads[Job], Protocol):
    """The jobs that are kept, and their events."""

    async def add(self, job: Job) -> None: ...
    async def enqueue(self, job: Job) -> None:
        """Have a worker take it once this transaction has committed."""
        ...

    async def begin(self, id: str, *, runner: Runner = Runner.LOCAL) -> Job | None:
        """Count the attempt up and mark it RUNNING; None when it is gone, final or another runner's."""
        ...

    async def append(self, job: Job, events: Sequence[Event]) -> None:
        """Record events. Raises `Replaced` unless `job.attempt` is the job's attempt and it is not final."""
        ...

    async def finish(
        self,
        job: Job,
        status: JobStatus,
        *,
        error: str | None = None,
        result: Mapping[str, Any] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> Job:
        """Move to a final status and record it. Raises `Replaced` as `append` does.

        `arguments` are added to those that the job's worker was given.
        """
        ...

    async def fruitless_begins(self, job_id: str) -> int:
        """How often a job was begun since it last came further than ever before."""
        ...

    async def stranded(self) -> list[Job]:
        """Jobs that no worker will ever take, though nothing keeps them waiting.

        Two transactions that look at once look one after the other: each such job is found by one of them.
        """
        ...

    async def latest(self, subject_ids: list[str], *, viewer_id: str) -> dict[str, Job]:
        """The newest job of each subject."""
        ...

    async def waiting_for(self, document_id: str) -> list[Job]:
        """Queued imports of a document that was not read yet."""
        ...

    async def is_over(self, job_id: str, *, attempt: int | None = None) -> bool:
        """Whether a job has ended, is gone, or is another attempt's."""
        ...

    async def events_after(self, job_id: str, seq: int, limit: int = 500) -> list[Recorded]: ...
    async def events_page(
        self, job_ids: list[str], page: Page, kinds: frozenset[JobEventKind], *, viewer_id: str
    ) -> dict[str, Slice[Recorded]]: ...
    async def events_total(
        self, job_ids: list[str], kinds: frozenset[JobEventKind], *, viewer_id: str
    ) -> dict[str, int]: ...
    async def logs(self, job_ids: list[str], lines: int) -> dict[str, list[str]]:
        """The last lines of each job's log, oldest first."""
        ...


class Chores(Protocol):
    """Work that nobody watches, done after the transaction has committed, and again until it succeeds."""

    async def delete_files(self, prefixes: list[str]) -> None:
        """Delete everything in storage under these prefixes."""
        ...

    async def unload(self, model_ids: list[str]) -> None:
        """Have the model runtime drop these models."""
        ...


def new(
    type: JobType,
    *,
    project_id: str,
    owner_id: str,
    subject_id: str,
    now: datetime,
    runner: Runner = Runner.LOCAL,
    arguments: Mapping[str, Any] | None = None,
) -> Job:
    """A queued job."""
    return Job(
        id=ids.new("Job"),
        project_id=project_id,
        owner_id=owner_id,
        type=type,
        subject_id=subject_id,
        runner=runner,
        arguments=arguments,
        created_at=now,
    )


async def cancel(
    store: "Store", id: str, *, viewer_id: str, arguments: Mapping[str, Any] | None = None
) -> Job:
    """A job that has not ended is CANCELLED, also when a worker begins it at the same moment.

    Raises `NotFound`, and `Conflict` when it has ended. What the job works on is the caller's to change.
    """
    while True:
        job = await store.jobs.get(id, viewer_id=viewer_id)
        if job is None:
            raise missing(id)
        if job.is_final:
            raise not_cancellable(job)
        with suppress(Replaced):  # it was begun, or ended, between the two statements: look again
            return await store.jobs.finish(job, JobStatus.CANCELLED, arguments=arguments)


def place_of(cursor: str | None, *, field: str = "after") -> int:
    """The place that a cursor of a job's events names, 0 for none; raises `Invalid` for anything else."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):  # what a 64-bit number can hold
        raise Invalid("This is not a cursor of a job's events.", reason="INVALID_CURSOR", field=field)
    return int(cursor)


def missing(id: str, *, field: str = "id") -> NotFound:
    """What is said of a job that is not there, or another's."""
    return NotFound(no_such("job", id), reason="JOB_NOT_FOUND", field=field)


def not_cancellable(job: Job) -> Conflict:
    """What is said when a finished job is to be cancelled."""
    return Conflict(
        f"The job has ended ({job.status}) and cannot be cancelled.", reason="JOB_ENDED", field="id"
    )
