"""Jobs: work that takes long, and who does it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from domain import ids
from domain.errors import Conflict
from domain.ids import Noun
from domain.reading import Reads


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


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs a list shows."""

    type: JobType | None = None
    status: JobStatus | None = None


class Superseded(Exception):
    """The job is no longer this worker's: another took it over, or it was cancelled or deleted. Stop."""


class JobReads(Reads[Job], Protocol):
    """The jobs, as they can be read."""

    async def fruitless_begins(self, job_id: str) -> int:
        """How often a job was begun since it last came further than ever before."""
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


class Jobs(JobReads, Protocol):
    """The jobs that are kept."""

    async def add(self, job: Job) -> None: ...
    async def enqueue(self, job: Job) -> None:
        """Have a worker take it once this transaction has committed."""
        ...

    async def begin(self, id: str, *, runner: Runner = Runner.LOCAL) -> Job | None:
        """Count the attempt up and mark it RUNNING; None when it is gone, final or another runner's."""
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
        """Move to a final status and record it.

        `arguments` are added to those that the job's worker was given. Raises `Superseded` unless `job.attempt` is
        the job's attempt and it is not final.
        """
        ...

    async def orphaned(self) -> list[Job]:
        """Jobs that no worker will ever take, though nothing keeps them waiting.

        Two transactions that look at once look one after the other: each such job is found by one of them.
        """
        ...


def new_job(
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
        id=ids.new(Noun.JOB),
        project_id=project_id,
        owner_id=owner_id,
        type=type,
        subject_id=subject_id,
        runner=runner,
        arguments=arguments,
        created_at=now,
    )


def not_cancellable(job: Job) -> Conflict:
    """What is said when a finished job is to be cancelled."""
    return Conflict(
        f"The job has ended ({job.status}) and cannot be cancelled.", reason="JOB_ENDED", field="id"
    )
