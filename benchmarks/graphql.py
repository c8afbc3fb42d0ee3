"""How fast the GraphQL API answers over HTTP, against PostGraphile 5 and against Starlette with psycopg alone.

`python -m benchmarks.graphql` prints the table of the README; `--seconds 1 --rounds 2` is a quick look, and
`--profile` prints instead where the time of our own process goes. One process each, the same PostgreSQL, the same
rows and the same fields; before anything is timed, the three results are compared value by value.
"""

import argparse
import statistics
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import orjson
import uvloop

from app.program import PROGRAM
from benchmarks import machine, rows
from benchmarks.load import Figures, Loader, Request
from benchmarks.machine import Server
from benchmarks.peers.postgraphile import install, postgraphile, prepare
from benchmarks.profiled import profile
from domain import ids
from infra.child_processes import module_command
from infra.db.engine import conninfo, engine

ROUNDS, SECONDS, CONNECTIONS = 5, 4.0, 8
OURS, PEER, BARE = "Luthier", "PostGraphile", "bare"
PREFIXES = tuple(f"{prefix}_" for prefix in ids.PREFIXES.values())


@dataclass(frozen=True)
class Query:
    """A query for each server; `%s` is the viewer's id, where a server has no token."""

    name: str
    path: str
    ours: str
    peer: str


QUERIES = (
    Query(
        "`{ viewer { id } }`",
        "/viewer",
        "{ viewer { id } }",
        '{ viewer: userByRowId(rowId: "%s") { id: rowId } }',
    ),
    Query(
        "100 rows of 8 scalars",
        "/jobs",
        "{ jobs(first: 100) { nodes { id type status progress message attempts createdAt finishedAt } } }",
        '{ jobs: allViewerJobs(condition: {ownerId: "%s"}, first: 100, orderBy: PRIMARY_KEY_DESC) {'
        " nodes { id: rowId type status progress message attempts: attempt createdAt finishedAt } } }",
    ),
    Query(
        "100 parents of 10 children",
        "/nested",
        "{ projects(first: 100) { nodes { id name datasets(first: 10) { nodes { id version name status } } } } }",
        '{ projects: allProjects(condition: {ownerId: "%s"}, first: 100, orderBy: PRIMARY_KEY_DESC) {'
        " nodes { id: rowId name datasets: datasetsByProjectId(first: 10, orderBy: PRIMARY_KEY_DESC) {"
        " nodes { id: rowId version name status } } } } }",
    ),
)


@dataclass(frozen=True)
class RoundResult:
    """One round, and the CPU that each response took of its server, in µs."""

    figures: Figures
    cpu: float


@dataclass(frozen=True)
class Bench:
    """The three servers, the load generator, and the viewer."""

    servers: dict[str, Server]
    loader: Loader
    owner: str
    token: str

    def request(self, name: str, query: Query) -> Request:
        """A query as a request to one of the servers."""
        port = self.servers[name].port
        if name == BARE:
            return Request(port, "GET", f"{query.path}?owner={self.owner}", {}, "")
        headers = {"Accept": "application/json"}
        if name == OURS:
            headers["Authorization"] = f"Bearer {self.token}"
        text = query.ours if name == OURS else query.peer % self.owner
        return Request(port, "POST", "/graphql", headers, orjson.dumps({"query": text}).decode())

    async def run_round(self, name: str, query: Query, seconds: float) -> RoundResult:
        """One round of one server."""
        server = self.servers[name]
        before = server.cpu()
        figures = await self.loader.round(self.request(name, query), seconds, CONNECTIONS)
        return RoundResult(figures, (server.cpu() - before) / figures.count * 1e6)


@asynccontextmanager
async def running(*, peers: bool = True, program: tuple[str, ...] = PROGRAM) -> AsyncIterator[Bench]:
    """All servers, with rows in the database."""
    async with AsyncExitStack() as stack:
        variables = await stack.enter_async_context(machine.database_environment())
        url, database = conninfo(variables["DATABASE_URL"]), engine(variables["DATABASE_URL"])
        stack.push_async_callback(database.dispose)
        ours = await stack.enter_async_context(machine.luthier(variables, program=program))
        viewer, token = await machine.sign_up(ours, "viewer")
        other, _ = await machine.sign_up(ours, "other")
        await rows.insert_rows(database, (viewer, other))
        servers = {OURS: ours}
        if peers:
            await prepare(database)
            bare = module_command("benchmarks.peers.bare")
            servers[PEER] = await stack.enter_async_context(postgraphile(url))
            servers[BARE] = await stack.enter_async_context(
                machine.announced(*bare, env={"DATABASE_URL": url})
            )
        child = await stack.enter_async_context(
            machine.process(*module_command("benchmarks.load"), core=machine.REST)
        )
        yield Bench(servers, Loader(child), str(ids.uuid_of(viewer, "user")), token)


# --- whether they return the same


async def compare(bench: Bench, query: Query) -> None:
    """Stops the run unless all three return the same rows."""
    results = {name: plain(await _result(bench.request(name, query))) for name in bench.servers}
    if not results[OURS] or any(result != results[OURS] for result in results.values()):
        shown = "\n".join(f"{name}: {str(result)[:300]}" for name, result in results.items())
        raise SystemExit(f"{query.name}: the results differ\n{shown}")


async def _result(request: Request) -> Any:
    url, headers = (
        f"http://127.0.0.1:{request.port}{request.path}",
        request.headers | {"content-type": "application/json"},
    )
    async with httpx.AsyncClient() as client:
        response = await client.request(request.method, url, headers=headers, content=request.body)
    body = response.raise_for_status().json()
    found = body if isinstance(body, list) else next(iter(body["data"].values()))
    return [found] if "id" in found else found  # a viewer is one row


def plain(value: Any) -> Any:
    """A value whichever server wrote it: rows as lists, ids as UUIDs, times as times."""
    match value:
        case {"nodes": nodes}:
            return plain(nodes)
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case str():
            return _uuid(value) if value.startswith(PREFIXES) else _moment(value)
    return value


def _uuid(id: str) -> str:
    return str(ids.uuid_of(id, id.rpartition("_")[0]))


def _moment(value: str) -> str | datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return value


# --- the run


async def measure(rounds: int = ROUNDS, seconds: float = SECONDS) -> str:
    """The Markdown table of every query and server."""
    install()
    table = []
    async with running() as bench:
        for query in QUERIES:
            await compare(bench, query)
        reach = await bench.loader.round(
            Request(bench.servers[BARE].port, "GET", "/plain", {}, ""), 1.0, CONNECTIONS
        )
        for query in QUERIES:
            table += await _rows(bench, query, rounds, seconds)
    return "\n".join([*_head(rounds, seconds, reach), *table])


async def _rows(bench: Bench, query: Query, rounds: int, seconds: float) -> list[str]:
    found: dict[str, list[RoundResult]] = {name: [] for name in bench.servers}
    for number in range(rounds + 1):
        for name in bench.servers:
            result = await bench.run_round(name, query, seconds)
            if number:  # the first round warms up: Node compiles what is hot
                found[name].append(result)
    return [_row(query, name, found) for name in found]


def _row(query: Query, name: str, found: dict[str, list[RoundResult]]) -> str:
    rate, p50, p99 = (
        statistics.median(getattr(result.figures, value) for result in found[name])
        for value in ("rate", "p50", "p99")
    )
    pairs = zip(found[name], found[PEER], strict=True)
    ratio = statistics.median(ours.figures.rate / peer.figures.rate for ours, peer in pairs)
    cpu = statistics.median(result.cpu for result in found[name])
    size = found[name][0].figures.bytes
    return f"| {query.name} | {name} | {rate:,.0f} | {ratio:.2f} | {p50:.2f} | {p99:.2f} | {size:,} | {cpu:,.0f} |"


def _head(rounds: int, seconds: float, reach: Figures) -> list[str]:
    how = f"Medians of {rounds} alternated rounds of {seconds:g} s over {CONNECTIONS} connections; {machine.where()}."
    return [
        f"{how} The load itself reaches {reach.rate:,.0f}/s against an empty response.",
        "",
        "| query | server | a second | of PostGraphile | p50 ms | p99 ms | bytes | CPU µs |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]


async def profiles(seconds: float) -> None:
    """Print where our time goes, query by query."""
    async with running(peers=False, program=module_command("benchmarks.profiled")) as bench:
        for query in QUERIES:
            await bench.run_round(OURS, query, seconds)
            done = bench.loader.round(bench.request(OURS, query), seconds, CONNECTIONS)
            print(f"\n### {query.name}\n\n{await profile(bench.servers[OURS].pid, done)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--profile", action="store_true", help="where the time of our own process goes")
    options = parser.parse_args()
    if options.profile:
        uvloop.run(profiles(options.seconds))
    else:
        print(uvloop.run(measure(options.rounds, options.seconds)))


if __name__ == "__main__":
    main()
