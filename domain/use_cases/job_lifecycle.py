"""A job and what it works on move together: each step changes both in the caller's transaction."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from domain.jobs import Job, JobStatus, JobType, Runner, Superseded
from domain.store import Store
from domain.use_cases import datasets, deployments, documents, finetunes, jobs

MAX_BEGINS = 20
"""How often a job is begun that comes no further; generous, for a stopping worker puts its jobs back too."""


APPLY_JOB_STATUS: Mapping[JobType, Callable[[Store, Job], Awaitable[None]]] = {
    JobType.DOCUMENT_READ: documents.apply_job_status,
    JobType.DATASET_IMPORT: datasets.apply_job_status,
    JobType.FINETUNE: finetunes.apply_job_status,
    JobType.DEPLOY: deployments.apply_job_status,
}
"""What each type of job does to its subject when the job's status changes."""


async def begin(store: Store, job_id: str) -> Job | None:
    """Take a job; None when there is nothing left to do for it.

    A job that was begun too often without coming further is failed: most likely it kills its worker.
    """
    job = await store.jobs.begin(job_id)
    if job is None:
        return None
    if await is_stuck(store, job, MAX_BEGINS + 1):
        await fail(store, job, f"The worker stopped {MAX_BEGINS} times while it worked on this.")
        return None
    await APPLY_JOB_STATUS[job.type](store, job)
    return job


async def is_stuck(store: Store, job: Job, times: int) -> bool:
    """Whether a job was begun so often since it last came further than ever before."""
    return job.attempt >= times and await store.jobs.fruitless_begins(job.id) >= times


async def requeue(store: Store) -> None:
    """Have the jobs taken again that fell out of the queue, by whatever accident."""
    for job in await store.jobs.orphaned():
        await store.jobs.enqueue(job)


async def begin_external(store: Store, job: Job) -> Job:
    """A worker of the user's took the job. Raises `Superseded` when the job ended meanwhile."""
    begun = await store.jobs.begin(job.id, runner=Runner.EXTERNAL)
    if begun is None:
        raise Superseded
    await APPLY_JOB_STATUS[begun.type](store, begun)
    return begun


async def succeed(store: Store, job: Job, result: Mapping[str, Any] | None = None) -> Job:
    """The job is done. Raises `Superseded` when it is no longer this worker's."""
    return await _finish(store, job, JobStatus.SUCCESS, result=result)


async def fail(store: Store, job: Job, error: str) -> Job:
    """The job failed, for a reason that the user can read. Raises `Superseded`."""
    return await _finish(store, job, JobStatus.FAILED, error=error)


async def cancel(
    store: Store, job_id: str, *, viewer_id: str, arguments: Mapping[str, Any] | None = None
) -> Job:
    """Cancel a job that has not ended; its worker notices at once. `arguments` tell it how it is to end."""
    job = await jobs.cancel(store, job_id, viewer_id=viewer_id, arguments=arguments)
    await APPLY_JOB_STATUS[job.type](store, job)
    return job


async def _finish(
    store: Store,
    job: Job,
    status: JobStatus,
    *,
    error: str | None = None,
    result: Mapping[str, Any] | None = None,
) -> Job:
    job = await store.jobs.finish(job, status, error=error, result=result)
    await APPLY_JOB_STATUS[job.type](store, job)
    return job
