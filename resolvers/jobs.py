"""Answers for jobs and their events."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from domain import jobs, lifecycle
from domain.jobs import Job, JobEventKind, Recorded
from domain.pages import Page, Slice
from resolvers.context import Context


async def latest(context: Context, subject_ids: list[str]) -> Mapping[str, Job]:
    """The newest job of each subject."""
    async with context.transactions.read() as store:
        return await store.jobs.latest(subject_ids, viewer_id=context.viewer_id)


async def cancel(context: Context, id: str) -> Job:
    """Cancel a job that has not ended."""
    async with context.transactions.begin() as store:
        return await lifecycle.cancel(store, id, viewer_id=context.viewer_id)


async def events(
    context: Context, job_ids: list[str], page: Page, kinds: frozenset[JobEventKind]
) -> Mapping[str, Slice[Recorded]]:
    """The same page of each job's events."""
    async with context.transactions.read() as store:
        return await store.jobs.events_page(job_ids, page, kinds, viewer_id=context.viewer_id)


async def events_total(
    context: Context, job_ids: list[str], kinds: frozenset[JobEventKind]
) -> Mapping[str, int]:
    """How many events each job has."""
    async with context.transactions.read() as store:
        return await store.jobs.events_total(job_ids, kinds, viewer_id=context.viewer_id)


async def follow(context: Context, job_id: str, after: int) -> AsyncGenerator[Recorded, None]:
    """Every event of a job of the viewer's from a place on; raises `NotFound`."""
    async with context.transactions.begin() as store:
        job = await store.jobs.get(job_id, viewer_id=context.viewer_id)
    if job is None:
        raise jobs.missing(job_id, field="job_id")
    async with aclosing(context.services.streams.follow(job.id, after)) as events:
        async for recorded in events:
            yield recorded
