"""Cancelling jobs."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from domain.jobs import Job, JobStatus, Superseded, not_cancellable
from domain.reading import require
from domain.store import Store


async def cancel(store: Store, id: str, *, viewer_id: str, arguments: Mapping[str, Any] | None = None) -> Job:
    """A job that has not ended is CANCELLED, also when a worker begins it at the same moment.

    Raises `NotFound`, and `Conflict` when it has ended. What the job works on is the caller's to change.
    """
    while True:
        job = await require(store.jobs, id, viewer_id=viewer_id)
        if job.is_final:
            raise not_cancellable(job)
        with suppress(Superseded):  # it was begun, or ended, between the two statements: look again
            return await store.jobs.finish(job, JobStatus.CANCELLED, arguments=arguments)
