"""The memory and CPU of a thousand subscribers, and the delay until an event reaches them.

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
from benchmarks.machine import Server
from benchmarks.profiled import profile
from benchmarks.subscriber_clients import BATCH, Arrivals, Clients, Events, Socket, Subscriber, line
from domain.job_events import LogLine
from domain.jobs import Job
from domain.store import Transactions
from infra.child_processes import module_command
from infra.db.engine import engine
from infra.db.transactions import SqlTransactions
from infra.queue import Enqueuer, open_queue

SUBSCRIBERS, JOBS, EVENTS, EVERY_S = 1_000, 100, 30, 0.5
LIMITED = (
    "SUBSCRIPTIONS_PER_USER",
    "CONNECTIONS_PER_USER",
    "OPERATIONS_PER_CONNECTION",
    "UNAUTHENTICATED_PER_ADDRESS",
)
LIMITS = {f"MAX_{name}": "100000" for name in LIMITED}
QUIET_S = 15.0
"""How often idle streams query anyway: the idle CPU includes one query for each job."""
IDLE_DELAY_S = 2.0
WARM_UP = 50


@dataclass(frozen=True)
class Shape:
    """How the subscribers are distributed: `per_connection` operations on each connection."""

    name: str
    kind: type[Subscriber]
    per_connection: int = 1


SHAPES = (
    Shape("WebSocket, one each", Socket),
    Shape("SSE, one each", Events),
    Shape("WebSocket, 20 each", Socket, per_connection=20),
)


@dataclass(frozen=True)
class Result:
    """Bytes for each subscriber, milliseconds of each arrival, and the server's CPU.

    `idle` is its share of a core while nothing happens, `cpu` the seconds that each event takes besides.
    """

    memory: float
    idle: float
    times: list[float]
    cpu: float


@dataclass(frozen=True)
class Run:
    """A server, an account with running jobs, and the transactions that append their events."""

    server: Server
    token: str
    transactions: Transactions
    jobs: list[Job]
    every_s: float

    async def measure(self, shape: Shape, count: int, watched: list[Job], events: int) -> Result:
        """Subscribe, measure the memory, commit events, and collect the arrival times."""
        await self._connect(shape, WARM_UP, watched, closed=True)
        await asyncio.sleep(IDLE_DELAY_S)
        before = self.server.memory()
        clients = await self._connect(shape, count, watched)
        await asyncio.sleep(IDLE_DELAY_S)
        memory = (self.server.memory() - before) / count
        idle = await self._idle()
        began, before_events = perf_counter(), self.server.cpu()
        times = await self._events(clients, watched, count, events)
        idling = idle * (perf_counter() - began)
        cpu = max(0.0, self.server.cpu() - before_events - idling) / events
        if clients.lost:
            raise SystemExit(f"the server closed {clients.lost} connections")
        clients.close()
        return Result(memory, idle, times, cpu)

    async def _idle(self) -> float:
        """The share of a core that the server uses while there are no events."""
        cpu = self.server.cpu()
        await asyncio.sleep(QUIET_S)
        return (self.server.cpu() - cpu) / QUIET_S

    async def _events(self, clients: Clients, watched: list[Job], count: int, events: int) -> list[float]:
        times: list[float] = []
        for number in range(1, events + 1):
            times += await self._event(clients, number, watched, count)
        return times

    async def profiled(self, shape: Shape, count: int, watched: list[Job], events: int) -> str:
        """Where the time of a sampled server goes while events are sent."""
        clients = await self._connect(shape, count, watched)
        found = await profile(self.server.pid, self._events(clients, watched, count, events))
        clients.close()
        return found

    async def _connect(
        self, shape: Shape, count: int, watched: list[Job], *, closed: bool = False
    ) -> Clients:
        clients = Clients(Arrivals())
        job_ids = [watched[number % len(watched)].id for number in range(count)]
        groups = [job_ids[at : at + shape.per_connection] for at in range(0, count, shape.per_connection)]
        for at in range(0, len(groups), BATCH):
            await asyncio.gather(
                *(
                    clients.open(self._subscriber(shape, clients, group), self.server.port)
                    for group in groups[at : at + BATCH]
                )
            )
        if closed:
            clients.close()
        return clients

    def _subscriber(self, shape: Shape, clients: Clients, group: list[str]) -> Callable[[], Subscriber]:
        return lambda: shape.kind(clients.arrivals, group, self.token, self.server.port)

    async def _event(self, clients: Clients, number: int, watched: list[Job], count: int) -> list[float]:
        """Commit one event, and wait until all subscribers of its job have it, and until the next one is due."""
        began = perf_counter()
        job = watched[number % len(watched)]
        async with self.transactions.begin() as store:
            await store.job_events.append(job, [LogLine(line(number))])
        committed = perf_counter()
        watchers = len(range(watched.index(job), count, len(watched)))
        await clients.arrivals.wait(number, watchers, 60)
        await asyncio.sleep(max(0.0, began + self.every_s - perf_counter()))
        return [(at - committed) * 1000 for at in clients.arrivals.times[number]]


@asynccontextmanager
async def running(
    variables: dict[str, str], name: str, count: int, every_s: float, *program: str
) -> AsyncIterator[Run]:
    """A server, and an account with `count` running jobs."""
    database = engine(variables["DATABASE_URL"])
    try:
        async with machine.luthier(variables | LIMITS, program=program or PROGRAM) as server:
            viewer, token = await machine.sign_up(server, name)
            transactions = SqlTransactions(database, Enqueuer(open_queue("")))
            watched = await rows.insert_running_jobs(database, viewer, count)
            for job in watched:  # each stream starts with this stored event
                async with transactions.begin() as store:
                    await store.job_events.append(job, [LogLine(line(0))])
            yield Run(server, token, transactions, watched, every_s)
    finally:
        await database.dispose()


async def measure(subscribers: int = SUBSCRIBERS, events: int = EVENTS, every_s: float = EVERY_S) -> str:
    """The Markdown table."""
    table = [
        f"{subscribers:,} subscribers, {events} events, one every {every_s:g} s; {machine.where()}.",
        "",
        "| subscribers | jobs | KiB each | idle CPU | p50 ms | p95 ms | max ms | CPU ms an event |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    async with machine.database_environment() as variables:
        for shape in SHAPES:
            for count in (1, JOBS):
                async with running(
                    variables, f"{shape.kind.__name__}{shape.per_connection}of{count}", count, every_s
                ) as run:
                    table.append(_row(shape, count, await run.measure(shape, subscribers, run.jobs, events)))
    return "\n".join(table)


def _row(shape: Shape, count: int, found: Result) -> str:
    p95 = statistics.quantiles(found.times, n=20)[-1]
    figures = f"{statistics.median(found.times):.1f} | {p95:.1f} | {max(found.times):.1f}"
    memory, cpu = found.memory / 1024, found.cpu * 1000
    return f"| {shape.name} | {count} | {memory:.1f} | {found.idle:.1%} | {figures} | {cpu:,.1f} |"


async def profiles(subscribers: int, events: int, every_s: float) -> None:
    """Print where the time goes while one event is sent to everybody."""
    program = module_command("benchmarks.profiled")
    async with machine.database_environment() as variables:
        for shape in SHAPES[:2]:
            async with running(variables, shape.kind.__name__, 1, every_s, *program) as run:
                print(f"\n### {shape.name}\n\n{await run.profiled(shape, subscribers, run.jobs, events)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=SUBSCRIBERS)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--every", type=float, default=EVERY_S, help="seconds from one event to the next")
    parser.add_argument("--profile", action="store_true", help="where the server's time goes")
    options = parser.parse_args()
    if options.profile:
        uvloop.run(profiles(options.subscribers, options.events, options.every))
    else:
        print(uvloop.run(measure(options.subscribers, options.events, options.every)))


if __name__ == "__main__":
    main()
