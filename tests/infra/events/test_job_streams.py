"""Readers of a job's stream: those at one position share each read, and none depends on a notification."""

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing

import pytest

from app.settings import Settings
from domain.job_events import LogLine, RecordedEvent
from domain.jobs import Job
from domain.services import Services
from domain.store import ReadStore, Store, Transactions
from infra.db.engine import conninfo
from infra.db.job_events import CHANNEL
from infra.events.job_streams import JobStreams
from infra.events.listener import Listener
from tests.clients import Api
from tests.jobs import queued_job, record_events, start_job, succeed

pytestmark = pytest.mark.anyio

READERS = 40


class CountedTransactions:
    """Transactions that are counted."""

    def __init__(self, real: Transactions) -> None:
        self.real = real
        self.count = 0
        self.started = asyncio.Event()

    def begin(self) -> AbstractAsyncContextManager[Store]:
        """A counted transaction."""
        self._count()
        return self.real.begin()

    def read(self) -> AbstractAsyncContextManager[ReadStore]:
        """A counted read."""
        self._count()
        return self.real.read()

    def _count(self) -> None:
        self.count += 1
        self.started.set()


@pytest.fixture
async def job(api: Api, services: Services) -> Job:
    return await start_job(services, (await queued_job(api, services)).id)


@pytest.fixture
def disconnected(settings: Settings) -> Listener:
    """A listener without a connection."""
    return Listener(conninfo(settings.database_url), CHANNEL)


@pytest.fixture
def counted(services: Services) -> CountedTransactions:
    return CountedTransactions(services.transactions)


async def read_seqs(streams: JobStreams, job: Job, after: int = 0) -> list[int]:
    """The `seq` of every event that a reader gets, to the end."""
    async with asyncio.timeout(20), aclosing(streams.events(job.id, after)) as recorded:
        return [event.seq async for event in recorded]


async def test_readers_at_one_position_of_a_job_share_a_read(
    services: Services, job: Job, disconnected: Listener, counted: CountedTransactions
) -> None:
    streams = JobStreams(disconnected, counted)
    readers = [asyncio.create_task(read_seqs(streams, job)) for _ in range(READERS)]
    await record_events(services, job, LogLine("a"), LogLine("b"))
    await succeed(services, job)
    disconnected.wakeup(CHANNEL, job.id).notify()
    assert await asyncio.gather(*readers) == [[1, 2, 3, 4, 5]] * READERS
    assert counted.count < READERS / 4


async def test_a_reader_waits_without_reading(
    services: Services, job: Job, disconnected: Listener, counted: CountedTransactions
) -> None:
    streams = JobStreams(disconnected, counted)
    async with aclosing(streams.events(job.id)) as recorded:
        assert [(await anext(recorded)).seq, (await anext(recorded)).seq] == [1, 2]
        third = asyncio.create_task(anext(recorded))
        await record_events(services, job, LogLine("a"))
        assert counted.count == 1
        disconnected.wakeup(CHANNEL, job.id).notify()
        assert (await third).seq == 3
        assert counted.count == 2


async def test_a_reader_that_joins_waiting_ones_causes_no_second_read(
    services: Services, job: Job, disconnected: Listener, counted: CountedTransactions
) -> None:
    streams = JobStreams(disconnected, counted)

    async def next_after(seq: int) -> RecordedEvent:
        async with aclosing(streams.events(job.id, seq)) as recorded:
            return await anext(recorded)

    waiting = asyncio.create_task(next_after(2))
    await counted.started.wait()
    joining = asyncio.create_task(next_after(2))
    await record_events(services, job, LogLine("a"))
    disconnected.wakeup(CHANNEL, job.id).notify()
    assert [event.seq for event in await asyncio.gather(waiting, joining)] == [3, 3]
    assert counted.count <= 2


async def test_an_event_arrives_and_a_stream_ends_without_a_notification(
    services: Services, job: Job, disconnected: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.events.listener.POLL_S", 0.05)
    streams = JobStreams(disconnected, services.transactions)
    reader = asyncio.create_task(read_seqs(streams, job))
    await record_events(services, job, LogLine("a"))
    await succeed(services, job)
    assert await reader == [1, 2, 3, 4]


async def test_a_stream_ends_with_a_job_that_is_deleted(
    api: Api, services: Services, job: Job, disconnected: Listener
) -> None:
    reader = asyncio.create_task(read_seqs(JobStreams(disconnected, services.transactions), job, after=2))
    await api.mutate("deleteProject", "deletedId", id=job.project_id)
    disconnected.wakeup(CHANNEL, job.id).notify()
    assert await reader == []


async def test_a_stream_of_more_than_a_batch_is_complete(
    services: Services, job: Job, disconnected: Listener
) -> None:
    await record_events(services, job, *(LogLine(str(number)) for number in range(250)))
    await succeed(services, job)
    assert await read_seqs(JobStreams(disconnected, services.transactions), job) == list(range(1, 254))
