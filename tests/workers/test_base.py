"""How a job is worked when the database, a server or the worker itself fails."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from domain.errors import Unavailable
from domain.job_events import Progress, StatusChanged
from domain.jobs import Job, JobStatus, JobType
from domain.services import Services
from domain.use_cases import job_lifecycle
from domain.use_cases.job_lifecycle import MAX_BEGINS
from tests.clients import Api
from tests.fakes.transactions import Outages
from tests.jobs import begin, queued_job, say
from workers.base import MAX_ATTEMPTS, Dispatcher, Handler, TryAgainError

pytestmark = pytest.mark.anyio


async def done(_services: Services, _job: Job) -> Mapping[str, Any]:
    return {"rows": 1}


async def endless(_services: Services, _job: Job) -> Mapping[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def away(_services: Services, _job: Job) -> Mapping[str, Any]:
    raise Unavailable("The object storage does not answer.")


def dispatcher(services: Services, handler: Handler) -> Dispatcher:
    return Dispatcher(services, {JobType.DATASET_IMPORT: handler})


async def now(services: Services, job: Job) -> Job:
    async with services.transactions.begin() as store:
        found = await store.jobs.get(job.id, viewer_id=job.owner_id)
    assert found is not None
    return found


class Watch:
    """Streams whose watch over a job fails."""

    def __init__(self, streams: Any, error: Exception) -> None:
        self._streams = streams
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._streams, name)

    async def lost(self, _job: Job) -> None:
        raise self._error


@pytest.mark.parametrize("outage", [1, 2], ids=["when it is begun", "when it is ended"])
async def test_work_that_finds_the_database_away_is_tried_again_and_ends(
    api: Api, services: Services, outage: int
) -> None:
    job = await queued_job(api, services)
    flaky = replace(services, transactions=Outages(services.transactions, outage))
    with pytest.raises(TryAgainError):
        await dispatcher(flaky, done).work(job.id)
    assert not (await now(services, job)).is_final
    await dispatcher(flaky, done).work(job.id)
    ended = await now(services, job)
    assert (ended.status, ended.result, ended.attempt) == (JobStatus.SUCCESS, {"rows": 1}, outage)


async def test_work_goes_on_while_the_watch_over_it_finds_the_database_away(
    api: Api, services: Services
) -> None:
    job = await begin(services, (await queued_job(api, services)).id)
    outages = Outages(services.transactions, 1)
    streams: Any = services.streams
    watching = asyncio.create_task(type(streams)(streams._hub, outages).lost(job))
    await outages.met.wait()
    async with services.transactions.begin() as store:
        await job_lifecycle.cancel(store, job.id, viewer_id=job.owner_id)
    async with asyncio.timeout(10):
        await watching


async def test_a_watch_that_is_away_puts_the_work_back(api: Api, services: Services) -> None:
    job = await queued_job(api, services)
    watched = replace(services, streams=Watch(services.streams, Unavailable("The database is too busy.")))
    with pytest.raises(TryAgainError):
        await dispatcher(watched, endless).work(job.id)
    assert (await now(services, job)).status is JobStatus.RUNNING


async def test_a_watch_that_breaks_ends_the_job_with_a_sentence(api: Api, services: Services) -> None:
    job = await queued_job(api, services)
    watched = replace(services, streams=Watch(services.streams, RuntimeError("a fault of ours")))
    await dispatcher(watched, endless).work(job.id)
    ended = await now(services, job)
    assert (ended.status, ended.error) == (
        JobStatus.FAILED,
        f"Something went wrong inside Luthier; its log says what, under {job.id}.",
    )


async def test_a_server_that_stays_away_fails_the_job_with_that_reason(api: Api, services: Services) -> None:
    job = await queued_job(api, services)
    for _ in range(MAX_ATTEMPTS - 1):
        with pytest.raises(TryAgainError):
            await dispatcher(services, away).work(job.id)
    await dispatcher(services, away).work(job.id)
    ended = await now(services, job)
    assert (ended.status, ended.error) == (JobStatus.FAILED, "The object storage does not answer.")


async def test_a_server_that_is_away_late_in_a_job_that_was_stopped_often_is_asked_again(
    api: Api, services: Services
) -> None:
    job = await queued_job(api, services)
    for _ in range(MAX_ATTEMPTS):
        await begin(services, job.id)

    async def further(services: Services, job: Job) -> Mapping[str, Any]:
        await say(services, job, Progress(0.5, "half"))
        return await away(services, job)

    with pytest.raises(TryAgainError):
        await dispatcher(services, further).work(job.id)
    assert (await now(services, job)).status is JobStatus.RUNNING


async def test_a_job_that_never_comes_further_is_failed_after_twenty_begins(
    api: Api, services: Services
) -> None:
    job = await queued_job(api, services)
    await say(services, await begin(services, job.id), Progress(0.5, "half"))
    for _ in range(MAX_BEGINS):
        await say(services, await begin(services, job.id), Progress(0.5, "half"))  # as far as before
    async with services.transactions.begin() as store:
        assert await job_lifecycle.begin(store, job.id) is None
    ended = await now(services, job)
    assert (ended.status, ended.error) == (
        JobStatus.FAILED,
        "The worker stopped 20 times while it worked on this.",
    )


async def test_a_job_that_comes_further_each_time_may_be_stopped_as_often_as_it_likes(
    api: Api, services: Services
) -> None:
    job = await queued_job(api, services)
    for number in range(MAX_BEGINS + 5):
        await say(services, await begin(services, job.id), Progress(number / 100, "a bit further"))
    assert (await begin(services, job.id)).attempt == MAX_BEGINS + 6
    async with services.transactions.begin() as store:
        (last,) = (await store.job_events.after(job.id, 0))[-1:]
    assert last.event == StatusChanged(JobStatus.RUNNING)
