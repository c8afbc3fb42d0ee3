"""Wake-ups from PostgreSQL: one listening connection a process, and readers that look when they are woken."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import NamedTuple
from weakref import WeakValueDictionary

import psycopg

from domain.errors import Unavailable
from domain.job_events import RecordedEvent, StatusChanged
from domain.jobs import FINAL, Job
from domain.store import Transactions
from infra.db.job_events import CHANNEL
from infra.events.shared_task import Shared

RECONNECT_S = 0.5
LOOK_ANYWAY_S = 15.0
BATCH = 100
NEVER = -1


log = logging.getLogger(__name__)


class Bell:
    """Rings when there may be news of one job, and counts that, so that no ring is missed between two looks."""

    def __init__(self) -> None:
        self.rung = 0
        self._next = asyncio.Event()

    def ring(self) -> None:
        """Wake everybody who waits."""
        self.rung += 1
        self._next.set()
        self._next = asyncio.Event()

    async def since(self, rung: int) -> None:
        """Returns once it rang after it had rung so often.

        Returns after a while in any case, for the ring that a dead line swallowed.
        """
        if self.rung == rung:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_ANYWAY_S):
                    await self._next.wait()


class Hub:
    """Rings the bells of jobs.

    The payload is only an id: rows are the truth, a wake-up may be early, double or lost, and nothing changes.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._bells = WeakValueDictionary[str, Bell]()

    async def run(self) -> None:
        """Listen until cancelled; after an outage everybody looks again."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True
                ) as connection:
                    await connection.execute(f"listen {CHANNEL}")
                    self._ring_all()
                    async for notification in connection.notifies():
                        if bell := self._bells.get(notification.payload):
                            bell.ring()
            except (
                psycopg.Error
            ) as error:  # whatever it is: without this line every stream would look by the clock
                log.warning("the line to the database broke, listening again soon: %s", error)
            await asyncio.sleep(RECONNECT_S)

    def _ring_all(self) -> None:
        for bell in tuple(self._bells.values()):
            bell.ring()

    def bell(self, job_id: str) -> Bell:
        """The bell of a job, the same for everybody who holds it."""
        bell = self._bells.get(job_id)
        if bell is None:
            bell = self._bells[job_id] = Bell()
        return bell


class News(NamedTuple):
    """What a look found, how often the bell had rung before it, and whether nothing can come any more."""

    recorded: list[RecordedEvent]
    rung: int
    is_last: bool


class JobStreams:
    """Follows jobs, as `domain.ports.event_streams` has it. Who has a job's events up to the same one waits and looks together."""

    def __init__(self, hub: Hub, transactions: Transactions) -> None:
        self._hub = hub
        self._transactions = transactions
        self._places = WeakValueDictionary[tuple[str, int], Shared[News]]()

    async def follow(self, job_id: str, after: int = 0) -> AsyncGenerator[RecordedEvent, None]:
        """Every event from `after` on. The rings are counted before the look, which is what makes none get lost."""
        bell, rung = self._hub.bell(job_id), NEVER
        while True:
            news = await self._place(bell, job_id, after, rung).result()
            for it in news.recorded:
                yield it
                after = it.seq
            if news.is_last:
                return
            rung = news.rung
            del news  # a stream that waits keeps no rows

    async def lost(self, job: Job) -> None:
        """Returns once the job has ended, is gone, or is another attempt's."""
        bell, rung = self._hub.bell(job.id), NEVER
        while True:
            await bell.since(rung)
            rung = bell.rung
            if await self._is_lost(job):
                return

    async def _is_lost(self, job: Job) -> bool:
        """False too while the database does not answer: work goes on through an outage."""
        try:
            async with self._transactions.read() as store:
                return await store.jobs.is_over(job.id, attempt=job.attempt)
        except Unavailable:
            return False

    def _place(self, bell: Bell, job_id: str, after: int, rung: int) -> Shared[News]:
        """Where everybody waits who has these events. What its first one has seen, the others need not see again."""
        place = self._places.get((job_id, after))
        if place is None or place.is_closed:
            place = self._places[job_id, after] = Shared(self._news(bell, job_id, after, rung))
        return place

    async def _news(self, bell: Bell, job_id: str, after: int, rung: int) -> News:
        """What comes after an event, once there is any, or that nothing does."""
        while True:
            await bell.since(rung)
            rung = bell.rung
            # It ends even if nobody waits for it any more: a statement that is broken off costs its connection.
            recorded, is_over = await asyncio.shield(asyncio.create_task(self._look(job_id, after)))
            if len(recorded) == BATCH:
                return News(recorded, NEVER, is_last=False)
            if recorded or is_over:
                return News(recorded, rung, is_last=is_over or _ends(recorded[-1]))

    async def _look(self, job_id: str, after: int) -> tuple[list[RecordedEvent], bool]:
        """The next events; where there are none, whether the job has ended or is gone."""
        async with self._transactions.read() as store:
            recorded = await store.job_events.after(job_id, after, BATCH)
            if recorded or not await store.jobs.is_over(job_id):
                return recorded, False
            return await store.job_events.after(job_id, after, BATCH), True  # what came between the two


def _ends(recorded: RecordedEvent) -> bool:
    """Whether nothing comes after this event."""
    return isinstance(recorded.event, StatusChanged) and recorded.event.status in FINAL
