"""Followers of a job: those at one place look together, and nobody depends on a wake-up."""

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing

import psycopg
import pytest

from app.settings import Settings
from domain.job_events import LogLine, RecordedEvent
from domain.jobs import Job
from domain.services import Services
from domain.store import ReadStore, Store, Transactions
from infra.db.engine import conninfo
from infra.events.job_streams import Hub, JobStreams
from tests.clients import Api
from tests.jobs import begin, queued_job, say, succeed

pytestmark = pytest.mark.anyio

FOLLOWERS = 40


class Counted:
    """Transactions that are counted."""

    def __init__(self, real: Transactions) -> None:
        self.real = real
        self.count = 0
        self.begun = asyncio.Event()

    def begin(self) -> AbstractAsyncContextManager[Store]:
        """As the real ones."""
        self._note()
        return self.real.begin()

    def read(self) -> AbstractAsyncContextManager[ReadStore]:
        """As the real ones."""
        self._note()
        return self.real.read()

    def _note(self) -> None:
        self.count += 1
        self.begun.set()


@pytest.fixture
async def job(api: Api, services: Services) -> Job:
    return await begin(services, (await queued_job(api, services)).id)


@pytest.fixture
def deaf(settings: Settings) -> Hub:
    """A hub whose line is dead: it does not listen."""
    return Hub(conninfo(settings.database_url))


@pytest.fixture
def counted(services: Services) -> Counted:
    return Counted(services.transactions)


async def told(streams: JobStreams, job: Job, after: int = 0) -> list[int]:
    """The places of the events that a follower is told, to the end."""
    async with asyncio.timeout(20), aclosing(streams.follow(job.id, after)) as recorded:
        return [it.seq async for it in recorded]


async def test_those_at_one_place_of_a_job_look_together(
    services: Services, job: Job, deaf: Hub, counted: Counted
) -> None:
    streams = JobStreams(deaf, counted)
    readers = [asyncio.create_task(told(streams, job)) for _ in range(FOLLOWERS)]
    await say(services, job, LogLine("a"), LogLine("b"))
    await succeed(services, job)
    deaf.bell(job.id).ring()
    assert await asyncio.gather(*readers) == [[1, 2, 3, 4, 5]] * FOLLOWERS
    assert counted.count < FOLLOWERS / 4


async def test_a_follower_waits_without_looking(
    services: Services, job: Job, deaf: Hub, counted: Counted
) -> None:
    streams = JobStreams(deaf, counted)
    async with aclosing(streams.follow(job.id)) as recorded:
        assert [(await anext(recorded)).seq, (await anext(recorded)).seq] == [1, 2]
        third = asyncio.create_task(anext(recorded))
        await say(services, job, LogLine("a"))
        assert counted.count == 1
        deaf.bell(job.id).ring()
        assert (await third).seq == 3
        assert counted.count == 2


async def test_whoever_joins_those_who_wait_looks_no_second_time(
    services: Services, job: Job, deaf: Hub, counted: Counted
) -> None:
    streams = JobStreams(deaf, counted)

    async def next_after(place: int) -> RecordedEvent:
        async with aclosing(streams.follow(job.id, place)) as recorded:
            return await anext(recorded)

    waiting = asyncio.create_task(next_after(2))
    await counted.begun.wait()
    joining = asyncio.create_task(next_after(2))
    await say(services, job, LogLine("a"))
    deaf.bell(job.id).ring()
    assert [it.seq for it in await asyncio.gather(waiting, joining)] == [3, 3]
    assert counted.count <= 2


@pytest.mark.parametrize("error", [psycopg.OperationalError, psycopg.ProgrammingError])
async def test_a_hub_listens_again_whatever_broke_its_line_and_says_so(
    deaf: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: type[psycopg.Error]
) -> None:
    connect = psycopg.AsyncConnection.connect

    async def fail_once(*_: object, **__: object) -> None:
        monkeypatch.setattr(psycopg.AsyncConnection, "connect", connect)
        raise error("it broke")

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", fail_once)
    monkeypatch.setattr("infra.events.job_streams.RECONNECT_S", 0)
    bell = deaf.bell("job_x")
    listening = asyncio.create_task(deaf.run())
    await bell.since(0)
    listening.cancel()
    assert bell.rung == 1
    assert caplog.messages == ["the line to the database broke, listening again soon: it broke"]
    with pytest.raises(asyncio.CancelledError):
        await listening


async def test_an_event_arrives_and_a_stream_ends_though_no_wake_up_came(
    services: Services, job: Job, deaf: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.events.job_streams.LOOK_ANYWAY_S", 0.05)
    streams = JobStreams(deaf, services.transactions)
    reader = asyncio.create_task(told(streams, job))
    await say(services, job, LogLine("a"))
    await succeed(services, job)
    assert await reader == [1, 2, 3, 4]


async def test_a_stream_ends_with_a_job_that_is_deleted(
    api: Api, services: Services, job: Job, deaf: Hub
) -> None:
    reader = asyncio.create_task(told(JobStreams(deaf, services.transactions), job, after=2))
    await api.mutate("deleteProject", "deletedId", id=job.project_id)
    deaf.bell(job.id).ring()
    assert await reader == []


async def test_more_than_a_batch_is_told_to_the_end(services: Services, job: Job, deaf: Hub) -> None:
    await say(services, job, *(LogLine(str(number)) for number in range(250)))
    await succeed(services, job)
    assert await told(JobStreams(deaf, services.transactions), job) == list(range(1, 254))
