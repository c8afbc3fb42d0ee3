"""Jobs: work in the background that users can follow and cancel."""

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
    """Type of a job."""

    DOCUMENT_READ = "DOCUMENT_READ"
    DATASET_IMPORT = "DATASET_IMPORT"
    FINETUNE = "FINETUNE"
    DEPLOY = "DEPLOY"


class JobStatus(StrEnum):
    """Status of a job; SUCCESS, FAILED and CANCELLED are final."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


FINAL = frozenset({JobStatus.SUCCESS, JobStatus.FAILED, JobStatus.CANCELLED})


class Runner(StrEnum):
    """Runner of a job: a Luthier worker, or an external worker that reports by webhook."""

    LOCAL = "LOCAL"
    EXTERNAL = "EXTERNAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job on one subject. `attempt` counts its starts; writes of an earlier attempt raise `Superseded`."""

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
        """Whether its status cannot change any more."""
        return self.status in FINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Conditions that listed jobs fulfill."""

    type: JobType | None = None
    status: JobStatus | None = None


class Superseded(Exception):
    """The job is no longer this worker's: it has a later attempt, has ended, or was deleted."""


class JobReads(Reads[Job], Protocol):
    """Reads jobs."""

    async def latest(self, subject_ids: list[str], *, viewer_id: str) -> dict[str, Job]:
        """The newest job of each subject."""
        ...

    async def queued_imports_of(self, document_id: str) -> list[Job]:
        """The queued imports from a document."""
        ...

    async def has_ended(self, job_id: str, *, attempt: int | None = None) -> bool:
        """Whether a job is final or deleted, or has another attempt than this one."""
        ...


class Jobs(JobReads, Protocol):
    """Reads and writes jobs, and enqueues them."""

    async def add(self, job: Job) -> None: ...
    async def enqueue(self, job: Job) -> None:
        """Put a job into the queue of the workers, once this transaction has committed."""
        ...

    async def start(self, id: str, *, runner: Runner = Runner.LOCAL) -> Job | None:
        """Increment the attempt and set RUNNING; None when the job is deleted, final or of another runner."""
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
        """Set a final status and append it to the job's events.

        `arguments` are merged into the job's own. Raises `Superseded` when the job is final or has another
        attempt than `job.attempt`.
        """
        ...

    async def orphaned(self) -> list[Job]:
        """Jobs of Luthier's workers that are neither final nor queued, nor wait for a document.

        One transaction at a time reads them, so that of two only one gets a job.
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


def job_ended_error(job: Job) -> Conflict:
    """The error for cancelling a job that is final."""
    return Conflict(
        f"The job has ended ({job.status}) and cannot be cancelled.", reason="JOB_ENDED", field="id"
    )
