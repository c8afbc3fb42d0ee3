"""What a thousand subscribers cost the API, and how soon an event reaches them.

`python -m benchmarks.subscribers` prints the table of the README. The server is `luthier serve`, one process, with the
limits of one user raised by settings; all subscribers are one user's. Events are committed one at a time, by the
same store that workers use; an arrival counts from the moment the commit returned.
"""

import argparse
import asyncio
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

import uvloop

from app.program import PROGRAM
from benchmarks import machine, rows
from benchmarks.followers import AT_ONCE, Arrivals, Crowd, Events, Follower, Socket, line
from benchmarks.machine import Server
from benchmarks.profiled import profile
from domain.job_events import LogLine
from domain.jobs import Job
from domain.store import Transactions
from infra.db.engine import engine
from infra.db.session import SqlTransactions
from infra.queue import Enqueuer, open_queue

SUBSCRIBERS, JOBS, EVENTS, EVERY_S = 1_000, 100, 30, 0.5
LIMITED = (
    "SUBSCRIPTIONS_PER_USER",
    "CONNECTIONS_PER_USER",
    "OPERATIONS_PER_CONNECTION",
    "STRANGERS_PER_ADDRESS",
)
LIMITS = {f"MAX_{name}": "100000" for name in LIMITED}
QUIET_S = 15.0
"""As long as streams without news wait before they look anyway: the idle CPU has one look of each job's."""
SETTLED_S = 2.0
WARM_UP = 50


@dataclass(frozen=True)
class Shape:
    """How the subscribers are spread over connections and jobs."""

    name: str
    kind: type[Follower]
    each: int = 1


SHAPES = (
    Shape("WebSocket, one each", Socket),
    Shape("SSE, one each", Events),
    Shape("WebSocket, 20 each", Socket, each=20),
)


@dataclass(frozen=True)
class Found:
    """Bytes for each subscriber, milliseconds of each arrival, and the server's CPU.

    `idle` is its share of a core while nothing happens, `cpu` the seconds that each event takes besides.
    """

    memory: float
    idle: float
    times: list[float]
    cpu: float


@dataclass(frozen=True)
class Run:
    """A server with an account and jobs that run, and what writes their events."""

    server: Server
    token: str
    transactions: Transactions
    jobs: list[Job]
    every_s: float

    async def measure(self, shape: Shape, count: int, watched: list[Job], events: int) -> Found:
        """Subscribe, look at the memory, commit events, and collect the arrivals."""
        await self._connect(shape, WARM_UP, watched, closed=True)
        await asyncio.sleep(SETTLED_S)
        before = self.server.memory()
        crowd = await self._connect(shape, count, watched)
        await asyncio.sleep(SETTLED_S)
        memory = (self.server.memory() - before) / count
        idle = await self._idle()
        began, before_events = perf_counter(), self.server.cpu()
        times = await self._events(crowd, watched, count, events)
        idling = idle * (perf_counter() - began)
        cpu = max(0.0, self.server.cpu() - before_events - idling) / events
        if crowd.lost:
            raise SystemExit(f"the server hung up on {crowd.lost}")
        crowd.close()
        return Found(memory, idle, times, cpu)

    async def _idle(self) -> float:
        """The share of a core that the server takes while nothing happens."""
        cpu = self.server.cpu()
        await asyncio.sleep(QUIET_S)
        return (self.server.cpu() - cpu) / QUIET_S

    async def _events(self, crowd: Crowd, watched: list[Job], count: int, events: int) -> list[float]:
        times: list[float] = []
        for number in range(1, events + 1):
            times += await self._event(crowd, number, watched, count)
        return times

    async def profiled(self, shape: Shape, count: int, watched: list[Job], events: int) -> str:
        """Where the time of a sampled server goes while events are sent."""
        crowd = await self._connect(shape, count, watched)
        found = await profile(self.server.pid, self._events(crowd, watched, count, events))
        crowd.close()
        return found

    async def _connect(self, shape: Shape, count: int, watched: list[Job], *, closed: bool = False) -> Crowd:
        crowd = Crowd(Arrivals())
        wanted = [watched[number % len(watched)].id for number in range(count)]
        groups = [wanted[at : at + shape.each] for at in range(0, count, shape.each)]
        for at in range(0, len(groups), AT_ONCE):
            await asyncio.gather(
                *(
                    crowd.open(self._follower(shape, crowd, group), self.server.port)
                    for group in groups[at : at + AT_ONCE]
                )
            )
        if closed:
            crowd.close()
        return crowd

    def _follower(self, shape: Shape, crowd: Crowd, group: list[str]) -> Callable[[], Follower]:
        return lambda: shape.kind(crowd.arrivals, group, self.token, self.server.port)

    async def _event(self, crowd: Crowd, number: int, watched: list[Job], count: int) -> list[float]:
        """Commit one event, and wait until everybody who watches its job has it, and for the next one's time."""
        began = perf_counter()
        job = watched[number % len(watched)]
        async with self.transactions.begin() as store:
            await store.job_events.append(job, [LogLine(line(number))])
        committed = perf_counter()
        watchers = len(range(watched.index(job), count, len(watched)))
        await crowd.arrivals.everywhere(number, watchers, 60)
        await asyncio.sleep(max(0.0, began + self.every_s - perf_counter()))
        return [(at - committed) * 1000 for at in crowd.arrivals.times[number]]


@asynccontextmanager
async def running(
    variables: dict[str, str], name: str, count: int, every_s: float, *program: str
) -> AsyncIterator[Run]:
    """A server of its own, and an account with so many jobs that run."""
    own = engine(variables["DATABASE_URL"])
    try:
        async with machine.luthier(variables | LIMITS, program=program or PROGRAM) as server:
            viewer, token = await machine.sign_up(server, name)
            transactions = SqlTransactions(own, Enqueuer(open_queue("")))
            watched = await rows.plant_running(own, viewer, count)
            for job in watched:  # what is kept when a subscriber comes: its stream begins with it
                async with transactions.begin() as store:
                    await store.job_events.append(job, [LogLine(line(0))])
            yield Run(server, token, transactions, watched, every_s)
    finally:
        await own.dispose()


async def measure(subscribers: int = SUBSCRIBERS, events: int = EVENTS, every_s: float = EVERY_S) -> str:
    """The Markdown table."""
    table = [
        f"{subscribers:,} subscribers, {events} events, one every {every_s:g} s; {machine.where()}.",
        "",
        "| subscribers | jobs | KiB each | idle CPU | p50 ms | p95 ms | max ms | CPU ms an event |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    async with machine.stage() as variables:
        for shape in SHAPES:
            for count in (1, JOBS):
                async with running(
                    variables, f"{shape.kind.__name__}{shape.each}of{count}", count, every_s
                ) as run:
                    table.append(_row(shape, count, await run.measure(shape, subscribers, run.jobs, events)))
    return "\n".join(table)


def _row(shape: Shape, count: int, found: Found) -> str:
    p95 = statistics.quantiles(found.times, n=20)[-1]
    figures = f"{statistics.median(found.times):.1f} | {p95:.1f} | {max(found.times):.1f}"
    memory, cpu = found.memory / 1024, found.cpu * 1000
    return f"| {shape.name} | {count} | {memory:.1f} | {found.idle:.1%} | {figures} | {cpu:,.1f} |"


async def profiles(subscribers: int, events: int, every_s: float) -> None:
    """Print where the time goes while one event is sent to everybody."""
    program = machine.module("benchmarks.profiled")
    async with machine.stage() as variables:
        for shape in SHAPES[:2]:
            async with running(variables, shape.kind.__name__, 1, every_s, *program) as run:
                print(f"\n### {shape.name}\n\n{await run.profiled(shape, subscribers, run.jobs, events)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=SUBSCRIBERS)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--every", type=float, default=EVERY_S, help="seconds from one event to the next")
    parser.add_argument("--profile", action="store_true", help="where the server's time goes")
    given = parser.parse_args()
    if given.profile:
        uvloop.run(profiles(given.subscribers, given.events, given.every))
    else:
        print(uvloop.run(measure(given.subscribers, given.events, given.every)))


if __name__ == "__main__":
    main()
