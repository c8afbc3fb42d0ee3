"""Jobs whose database, server or worker fails."""

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
from domain.use_cases.job_lifecycle import MAX_ATTEMPTS_WITHOUT_PROGRESS
from tests.clients import Api
from tests.fakes.transactions import Outages
from tests.jobs import queued_job, record_events, start_job
from workers.dispatcher import MAX_ATTEMPTS, Dispatcher, Handler, RetryableError

pytestmark = pytest.mark.anyio


async def done(_services: Services, _job: Job) -> Mapping[str, Any]:
    return {"rows": 1}


async def endless(_services: Services, _job: Job) -> Mapping[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def unavailable(_services: Services, _job: Job) -> Mapping[str, Any]:
    raise Unavailable("The object storage does not answer.")


def dispatcher(services: Services, handler: Handler) -> Dispatcher:
    return Dispatcher(services, {JobType.DATASET_IMPORT: handler})


async def current(services: Services, job: Job) -> Job:
    async with services.transactions.begin() as store:
        found = await store.jobs.get(job.id, viewer_id=job.owner_id)
    assert found is not None
    return found


class FailingStreams:
    """Streams that fail while they watch a job."""

    def __init__(self, streams: Any, error: Exception) -> None:
        self._streams = streams
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._streams, name)

    async def until_ended(self, _job: Job) -> None:
        raise self._error


@pytest.mark.parametrize("outage", [1, 2], ids=["when it is begun", "when it is ended"])
async def test_a_job_whose_database_is_unavailable_is_retried_and_ends(
    api: Api, services: Services, outage: int
) -> None:
    job = await queued_job(api, services)
    flaky = replace(services, transactions=Outages(services.transactions, outage))
    with pytest.raises(RetryableError):
        await dispatcher(flaky, done).work(job.id)
    assert not (await current(services, job)).is_final
    await dispatcher(flaky, done).work(job.id)
    ended = await current(services, job)
    assert (ended.status, ended.result, ended.attempt) == (JobStatus.SUCCESS, {"rows": 1}, outage)


async def test_watching_a_job_continues_after_the_database_was_unavailable(
    api: Api, services: Services
) -> None:
    job = await start_job(services, (await queued_job(api, services)).id)
    outages = Outages(services.transactions, 1)
    streams: Any = services.job_streams
    watching = asyncio.create_task(type(streams)(streams._listener, outages).until_ended(job))
    await outages.occurred.wait()
    async with services.transactions.begin() as store:
        await job_lifecycle.cancel(store, job.id, viewer_id=job.owner_id)
    async with asyncio.timeout(10):
        await watching


async def test_a_job_that_cannot_be_watched_now_is_retried(api: Api, services: Services) -> None:
    job = await queued_job(api, services)
    watched = replace(
        services, job_streams=FailingStreams(services.job_streams, Unavailable("The database is too busy."))
    )
    with pytest.raises(RetryableError):
        await dispatcher(watched, endless).work(job.id)
    assert (await current(services, job)).status is JobStatus.RUNNING


async def test_an_error_while_a_job_is_watched_fails_the_job_with_one_sentence(
    api: Api, services: Services
) -> None:
    job = await queued_job(api, services)
    watched = replace(
        services, job_streams=FailingStreams(services.job_streams, RuntimeError("a fault of ours"))
    )
    await dispatcher(watched, endless).work(job.id)
    ended = await current(services, job)
    assert (ended.status, ended.error) == (
        JobStatus.FAILED,
        f"Something went wrong inside Luthier; its log says what, under {job.id}.",
    )


async def test_a_server_that_stays_unavailable_fails_the_job_with_that_reason(
    api: Api, services: Services
) -> None:
    job = await queued_job(api, services)
    for _ in range(MAX_ATTEMPTS - 1):
        with pytest.raises(RetryableError):
            await dispatcher(services, unavailable).work(job.id)
    await dispatcher(services, unavailable).work(job.id)
    ended = await current(services, job)
    assert (ended.status, ended.error) == (JobStatus.FAILED, "The object storage does not answer.")


async def test_a_job_that_was_stopped_often_is_retried_when_a_server_is_unavailable_after_progress(
    api: Api, services: Services
) -> None:
    job = await queued_job(api, services)
    for _ in range(MAX_ATTEMPTS):
        await start_job(services, job.id)

    async def further(services: Services, job: Job) -> Mapping[str, Any]:
        await record_events(services, job, Progress(0.5, "half"))
        return await unavailable(services, job)

    with pytest.raises(RetryableError):
        await dispatcher(services, further).work(job.id)
    assert (await current(services, job)).status is JobStatus.RUNNING


async def test_a_job_without_progress_is_failed_after_twenty_attempts(api: Api, services: Services) -> None:
    job = await queued_job(api, services)
    await record_events(services, await start_job(services, job.id), Progress(0.5, "half"))
    for _ in range(MAX_ATTEMPTS_WITHOUT_PROGRESS):
        await record_events(
            services, await start_job(services, job.id), Progress(0.5, "half")
        )  # the same progress as before
    async with services.transactions.begin() as store:
        assert await job_lifecycle.start(store, job.id) is None
    ended = await current(services, job)
    assert (ended.status, ended.error) == (
        JobStatus.FAILED,
        "The worker stopped 20 times while it worked on this.",
    )


async def test_a_job_with_progress_in_each_attempt_may_be_stopped_any_number_of_times(
    api: Api, services: Services
) -> None:
    job = await queued_job(api, services)
    for number in range(MAX_ATTEMPTS_WITHOUT_PROGRESS + 5):
        await record_events(
            services, await start_job(services, job.id), Progress(number / 100, "a bit further")
        )
    assert (await start_job(services, job.id)).attempt == MAX_ATTEMPTS_WITHOUT_PROGRESS + 6
    async with services.transactions.begin() as store:
        (last,) = (await store.job_events.after(job.id, 0))[-1:]
    assert last.event == StatusChanged(JobStatus.RUNNING)
