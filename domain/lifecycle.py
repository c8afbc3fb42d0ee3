"""A job and what it works on move together: each step changes both in the caller's transaction."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from domain import datasets, deployments, documents, finetunes, jobs
from domain.jobs import Job, JobStatus, JobType, Runner

if TYPE_CHECKING:
    from domain.store import Store

MAX_BEGINS = 20
"""A stopping worker puts its jobs back too, so this is generous."""

FOLLOWERS: Mapping[JobType, Callable[["Store", Job], Awaitable[None]]] = {
    JobType.DOCUMENT_READ: documents.follow,
    JobType.DATASET_IMPORT: datasets.follow,
    JobType.FINETUNE: finetunes.follow,
    JobType.DEPLOY: deployments.follow,
}
"""What each type of job does to its subject when the job's status changes."""


async def begin(store: "Store", job_id: str) -> Job | None:
    """Take a job; None when there is nothing left to do for it.

    A job that was begun too often is failed: most likely it kills the worker that works on it.
    """
    job = await store.jobs.begin(job_id)
    if job is None:
        return None
    if job.attempt > MAX_BEGINS:
        await fail(store, job, f"The worker stopped {MAX_BEGINS} times while it worked on this.")
        return None
    await FOLLOWERS[job.type](store, job)
    return job


async def begin_external(store: "Store", job: Job) -> Job:
    """A worker of the user's took the job. Raises `Replaced` when the job ended meanwhile."""
    begun = await store.jobs.begin(job.id, runner=Runner.EXTERNAL)
    if begun is None:
        raise jobs.Replaced
    await FOLLOWERS[begun.type](store, begun)
    return begun


async def succeed(store: "Store", job: Job, result: Mapping[str, Any] | None = None) -> Job:
    """The job is done. Raises `Replaced` when it is no longer this worker's."""
    return await _finish(store, job, JobStatus.SUCCESS, result=result)


async def fail(store: "Store", job: Job, error: str) -> Job:
    """The job failed, for a reason that the user can read. Raises `Replaced`."""
    return await _finish(store, job, JobStatus.FAILED, error=error)


async def cancel(
    store: "Store", job_id: str, *, viewer_id: str, result: Mapping[str, Any] | None = None
) -> Job:
    """Cancel a job that has not ended; its worker notices at once. `result` tells it how it is to end."""
    while True:
        job = await store.jobs.get(job_id, viewer_id=viewer_id)
        if job is None:
            raise jobs.missing(job_id)
        if job.is_final:
            raise jobs.not_cancellable(job)
        with suppress(
            jobs.Replaced
        ):  # a worker began it, or ended it, between the two statements: look again
            return await _finish(store, job, JobStatus.CANCELLED, result=result)


async def _finish(
    store: "Store",
    job: Job,
    status: JobStatus,
    *,
    error: str | None = None,
    result: Mapping[str, Any] | None = None,
) -> Job:
    job = await store.jobs.finish(job, status, error=error, result=result)
    await FOLLOWERS[job.type](store, job)
    return job
