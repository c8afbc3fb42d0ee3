"""Changes of a job's status, each with that of its subject, in the caller's transaction.

Apart from `jobs`: this module imports the use cases of the subjects, and of those `deployments` needs `jobs`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from domain.jobs import Job, JobStatus, JobType, Runner, Superseded
from domain.store import ReadStore, Store
from domain.use_cases import datasets, deployments, documents, finetunes, jobs

MAX_ATTEMPTS_WITHOUT_PROGRESS = 20
"""How often a job is started without more progress; generous, because a worker that stops requeues its jobs."""
APPLY_JOB_STATUS: Mapping[JobType, Callable[[Store, Job], Awaitable[None]]] = {
    JobType.DOCUMENT_READ: documents.apply_job_status,
    JobType.DATASET_IMPORT: datasets.apply_job_status,
    JobType.FINETUNE: finetunes.apply_job_status,
    JobType.DEPLOY: deployments.apply_job_status,
}
"""Sets the status of the subject of each type of job from the job's status."""


async def start(store: Store, job_id: str) -> Job | None:
    """Start a job as a Luthier worker; None when it is deleted or final, or was started too often.

    A job that is started too often without progress is FAILED: most likely it kills its worker.
    """
    job = await store.jobs.start(job_id)
    if job is None:
        return None
    if await made_no_progress(store, job, MAX_ATTEMPTS_WITHOUT_PROGRESS + 1):
        await fail(
            store, job, f"The worker stopped {MAX_ATTEMPTS_WITHOUT_PROGRESS} times while it worked on this."
        )
        return None
    await APPLY_JOB_STATUS[job.type](store, job)
    return job


async def made_no_progress(store: ReadStore, job: Job, attempts: int) -> bool:
    """Whether a job was started this often since it last reported its highest progress."""
    return job.attempt >= attempts and await store.job_events.attempts_without_progress(job.id) >= attempts


async def requeue(store: Store) -> None:
    """Enqueue the jobs that are neither final nor in the queue."""
    for job in await store.jobs.orphaned():
        await store.jobs.enqueue(job)


async def start_external(store: Store, job: Job) -> Job:
    """Start a job as an external worker; raises `Superseded` when it is deleted or final."""
    started = await store.jobs.start(job.id, runner=Runner.EXTERNAL)
    if started is None:
        raise Superseded
    await APPLY_JOB_STATUS[started.type](store, started)
    return started


async def succeed(store: Store, job: Job, result: Mapping[str, Any] | None = None) -> Job:
    """Set a job SUCCESS; raises `Superseded` when it is no longer this worker's."""
    return await _finish(store, job, JobStatus.SUCCESS, result=result)


async def fail(store: Store, job: Job, error: str) -> Job:
    """Set a job FAILED with a sentence for the user; raises `Superseded` when it is no longer this worker's."""
    return await _finish(store, job, JobStatus.FAILED, error=error)


async def cancel(
    store: Store, job_id: str, *, viewer_id: str, arguments: Mapping[str, Any] | None = None
) -> Job:
    """Set a job CANCELLED, which stops its worker; `arguments` tell the worker how to stop.

    Raises `NotFound`, and `Conflict` when the job is final.
    """
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
