"""Wake-ups from PostgreSQL: one listening connection a process, and readers that look when they are woken."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator

import psycopg

from domain.errors import Unavailable
from domain.jobs import FINAL, Job, Recorded, StatusChanged
from domain.store import Transactions
from infra.db.events import CHANNEL

RECONNECT_S = 0.5
LOOK_ANYWAY_S = 15.0
BATCH = 500

log = logging.getLogger(__name__)


class Hub:
    """Wakes whoever waits for a job.

    The payload is only an id: rows are the truth, a wake-up may be early, double or lost, and nothing changes.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self.wakes = 0
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def run(self) -> None:
        """Listen until cancelled; after an outage everybody looks again."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True
                ) as connection:
                    await connection.execute(f"listen {CHANNEL}")
                    self._wake_all()
                    async for notification in connection.notifies():
                        self._wake(notification.payload)
            except psycopg.OperationalError as error:
                log.warning("the database does not answer, listening again soon: %s", error)
            await asyncio.sleep(RECONNECT_S)

    def _wake(self, job_id: str) -> None:
        self.wakes += 1
        for event in self._waiting.get(job_id, ()):
            event.set()

    def _wake_all(self) -> None:
        for job_id in self._waiting:
            self._wake(job_id)

    @contextlib.contextmanager
    def woken(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever there may be news of a job."""
        event = asyncio.Event()
        self._waiting[job_id].add(event)
        try:
            yield event
        finally:
            self._waiting[job_id].discard(event)
            if not self._waiting[job_id]:
                del self._waiting[job_id]


class JobStreams:
    """Follows jobs, as `domain.streams` has it. Readers at one place of one job share one read."""

    def __init__(self, hub: Hub, transactions: Transactions) -> None:
        self._hub = hub
        self._transactions = transactions
        self._reads: dict[tuple[str, int, int], asyncio.Task[list[Recorded]]] = {}

    async def follow(self, job_id: str, after: int = 0) -> AsyncIterator[Recorded]:
        """Every event from `after` on; the order of the three steps is what makes none get lost."""
        over = False
        with self._hub.woken(job_id) as woken:
            while True:
                woken.clear()
                recorded = await self._read(job_id, after)
                for it in recorded:
                    yield it
                    after = it.seq
                if (over and len(recorded) < BATCH) or (recorded and _ends(recorded[-1])):
                    return
                if not recorded and (over := await self._is_over(job_id)):
                    continue  # its last events may have come between the two reads: look once more
                if len(recorded) < BATCH:
                    await self._wait(woken)

    async def lost(self, job: Job) -> None:
        """Returns once the job has ended, is gone, or is another attempt's."""
        with self._hub.woken(job.id) as woken:
            while not await self._is_lost(job, woken):
                await self._wait(woken)

    async def _is_lost(self, job: Job, woken: asyncio.Event) -> bool:
        """False too while the database does not answer: work goes on through an outage."""
        woken.clear()
        try:
            async with self._transactions.begin() as store:
                return await store.jobs.is_over(job.id, attempt=job.attempt)
        except Unavailable:
            return False

    async def _wait(self, woken: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):  # looks anyway, for the wake-up that a dead line swallowed
            async with asyncio.timeout(LOOK_ANYWAY_S):
                await woken.wait()

    async def _read(self, job_id: str, after: int) -> list[Recorded]:
        # A read that began before the last wake-up may not see what that was about: it is not shared.
        place = (job_id, after, self._hub.wakes)
        if (task := self._reads.get(place)) is None:
            task = self._reads[place] = asyncio.create_task(self._rows(job_id, after))
            task.add_done_callback(lambda _: self._reads.pop(place, None))
        return await asyncio.shield(task)

    async def _rows(self, job_id: str, after: int) -> list[Recorded]:
        async with self._transactions.begin() as store:
            return await store.jobs.events_after(job_id, after, BATCH)

    async def _is_over(self, job_id: str) -> bool:
        """Whether a job without news has ended, or is gone."""
        async with self._transactions.begin() as store:
            return await store.jobs.is_over(job_id)


def _ends(recorded: Recorded) -> bool:
    """Whether nothing comes after this event."""
    return isinstance(recorded.event, StatusChanged) and recorded.event.status in FINAL
