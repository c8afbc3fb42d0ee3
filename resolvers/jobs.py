"""Resolvers of jobs and their events."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from domain.job_events import RecordedEvent
from domain.jobs import Job
from domain.reading import require
from domain.use_cases import job_lifecycle
from resolvers.context import Context


async def latest(context: Context, subject_ids: list[str]) -> Mapping[str, Job]:
    """The newest job of each subject."""
    async with context.transactions.read() as store:
        return await store.jobs.latest(subject_ids, viewer_id=context.viewer_id)


async def cancel(context: Context, id: str) -> Job:
    """Cancel a job."""
    async with context.transactions.begin() as store:
        return await job_lifecycle.cancel(store, id, viewer_id=context.viewer_id)


async def stream_events(context: Context, job_id: str, after: int) -> AsyncGenerator[RecordedEvent, None]:
    """The events of a job after a `seq`, past and new, until the job ends; raises `NotFound`."""
    async with context.transactions.read() as store:
        job = await require(store.jobs, job_id, viewer_id=context.viewer_id, field="jobId")
    async with aclosing(context.services.job_streams.events(job.id, after)) as events:
        async for recorded in events:
            yield recorded
