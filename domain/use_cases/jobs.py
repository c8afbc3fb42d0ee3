"""Cancels jobs without their subjects.

Apart from `job_lifecycle`, which imports `deployments`: deleting a deployment cancels its job.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from domain.jobs import Job, JobStatus, Superseded, job_ended_error
from domain.reading import require
from domain.store import Store


async def cancel(store: Store, id: str, *, viewer_id: str, arguments: Mapping[str, Any] | None = None) -> Job:
    """Set a job CANCELLED, also when a worker starts it at the same time; the caller changes its subject.

    Raises `NotFound`, and `Conflict` when the job is final.
    """
    while True:
        job = await require(store.jobs, id, viewer_id=viewer_id)
        if job.is_final:
            raise job_ended_error(job)
        with suppress(Superseded):  # it was started or ended between the two statements: read it again
            return await store.jobs.finish(job, JobStatus.CANCELLED, arguments=arguments)
