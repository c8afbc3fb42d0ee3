"""Streams of jobs' events: they read the rows when a notification wakes them."""

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple
from weakref import WeakValueDictionary

from domain.errors import Unavailable
from domain.job_events import RecordedEvent, StatusChanged
from domain.jobs import FINAL, Job
from domain.store import Transactions
from infra.db.job_events import CHANNEL
from infra.events._shared_task import SharedTask
from infra.events.listener import NEVER, Listener, Wakeup

BATCH = 100


class EventBatch(NamedTuple):
    """The events of one read, the generation of the wakeup before it, and whether no event can follow."""

    recorded: list[RecordedEvent]
    generation: int
    is_last: bool


class JobStreams:
    """Follows jobs, as `domain.ports.job_streams` has it. Readers at the same position of a job share one read."""

    def __init__(self, listener: Listener, transactions: Transactions) -> None:
        self._listener = listener
        self._transactions = transactions
        self._reads = WeakValueDictionary[tuple[str, int], SharedTask[EventBatch]]()

    async def events(self, job_id: str, after: int = 0) -> AsyncGenerator[RecordedEvent, None]:
        """Every event with a `seq` above `after`."""
        wakeup, generation = self._listener.wakeup(CHANNEL, job_id), NEVER
        while True:
            batch = await self._shared_read(wakeup, job_id, after, generation).result()
            for recorded in batch.recorded:
                yield recorded
                after = recorded.seq
            if batch.is_last:
                return
            generation = batch.generation
            del batch  # a stream that waits holds no rows in memory

    async def until_ended(self, job: Job) -> None:
        """Returns once the job has ended, is deleted, or another attempt of it has started."""
        wakeup, generation = self._listener.wakeup(CHANNEL, job.id), NEVER
        while True:
            generation = await wakeup.wait(generation)
            if await self._has_ended(job):
                return

    async def _has_ended(self, job: Job) -> bool:
        """False too while the database does not answer: work continues during an outage."""
        try:
            async with self._transactions.read() as store:
                return await store.jobs.has_ended(job.id, attempt=job.attempt)
        except Unavailable:
            return False

    def _shared_read(
        self, wakeup: Wakeup, job_id: str, after: int, generation: int
    ) -> SharedTask[EventBatch]:
        """The read that everybody at this position awaits; its first reader says which generation was seen."""
        read = self._reads.get((job_id, after))
        if read is None or read.is_closed:
            read = SharedTask(self._next_batch(wakeup, job_id, after, generation))
            self._reads[job_id, after] = read
        return read

    async def _next_batch(self, wakeup: Wakeup, job_id: str, after: int, generation: int) -> EventBatch:
        """The events after a position, once there are any, or an empty last batch when the job has ended."""
        while True:
            # The generation is taken before the read: what is written during the read wakes the next one.
            generation = await wakeup.wait(generation)
            # A statement that is cancelled costs its connection, so it ends even when all readers have left.
            recorded, has_ended = await asyncio.shield(asyncio.create_task(self._read(job_id, after)))
            if len(recorded) == BATCH:
                return EventBatch(recorded, NEVER, is_last=False)
            if recorded or has_ended:
                return EventBatch(recorded, generation, is_last=has_ended or _is_final(recorded[-1]))

    async def _read(self, job_id: str, after: int) -> tuple[list[RecordedEvent], bool]:
        """The next events; where there are none, whether the job has ended or is deleted."""
        async with self._transactions.read() as store:
            recorded = await store.job_events.after(job_id, after, BATCH)
            if recorded or not await store.jobs.has_ended(job_id):
                return recorded, False
            return await store.job_events.after(
                job_id, after, BATCH
            ), True  # what was written between the two


def _is_final(recorded: RecordedEvent) -> bool:
    return isinstance(recorded.event, StatusChanged) and recorded.event.status in FINAL
