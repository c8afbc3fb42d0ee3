"""How much the gateway costs: requests and streams per second through it and past it, alternated in one run.

`python -m benchmarks.gateway`. A model server that responds at once, the gateway with its real key table and
log writer on the embedded PostgreSQL, and the load are three processes on this machine's loopback.
"""

import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import cast

import orjson
import psutil
import uvicorn
import uvloop
from sqlalchemy import func, insert, select
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from app.local.servers import servers
from benchmarks.machine import PYTHON_PATH
from domain import ids
from domain.api_keys import new_key
from domain.deployments import DeploymentStatus
from domain.ports.storage import Storage
from domain.projects import ProjectStatus, TaskType
from infra.child_processes import module_command
from infra.db.engine import conninfo, engine
from infra.db.gateway import CHANNEL
from infra.db.tables import api_keys, deployments, metadata, projects, request_logs, users
from infra.events.listener import Listener
from infra.gateway.key_table import SqlKeyTable
from infra.gateway.log_writer import BatchLogWriter
from infra.runtime.remote import RemoteRuntime
from rest.gateway import Gateway

CONNECTIONS = 16
ROUNDS = 5
REQUESTS, STREAMS = 4_000, 400
WARM_UP = 200
LIMIT_S = 240
MODEL = "benchmark"
CHAT_REQUEST = {"model": MODEL, "messages": [{"role": "user", "content": "What is the capital of France?"}]}


@dataclass(frozen=True)
class Target:
    """A server under load."""

    name: str
    port: int
    path: str
    key: str
    pid: int


@dataclass(frozen=True)
class RoundResult:
    """One round: requests per second, median and 95th percentile in ms, CPU per request in µs."""

    rate: float
    median: float
    late: float
    cpu: float


# --- the model server


CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10}
WHOLE = orjson.dumps({"id": "c", "object": "chat.completion", "choices": [CHOICE], "usage": USAGE})


def _event(part: dict[str, object]) -> bytes:
    return b"data: " + orjson.dumps({"id": "c", "object": "chat.completion.chunk"} | part) + b"\n\n"


EVENTS = [
    *[_event({"choices": [{"index": 0, "delta": {"content": "word "}}]}) for _ in range(51)],
    _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
    _event({"choices": [], "usage": USAGE}),
    b"data: [DONE]\n\n",
]


async def model_server(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond at once."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])  # uvicorn's question whether there is a lifespan
    body = (await receive())["body"]
    if scope["method"] == "GET":
        await _send(send, b"application/json", orjson.dumps({"data": [{"id": MODEL}]}))
    elif b'"stream":true' in body:
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for event in EVENTS:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body"})
    else:
        await _send(send, b"application/json", WHOLE)


async def _send(send: Send, kind: bytes, body: bytes) -> None:
    head = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})


# --- processes


async def run_model_server() -> None:
    await _serve(model_server)


async def run_gateway(database_url: str, upstream: str) -> None:
    database = engine(database_url)
    runtime = RemoteRuntime(upstream, None, cast("Storage", None))  # nothing is to be installed
    log_writer = BatchLogWriter(database)
    listener = Listener(conninfo(database_url), CHANNEL)
    keys = SqlKeyTable(database, listener)
    gateway = Gateway(keys, runtime, log_writer)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with listener, keys:
            yield
        await gateway.aclose()
        await log_writer.aclose()
        await runtime.aclose()
        await database.dispose()

    await _serve(Starlette(routes=[Mount("/public", gateway)], lifespan=lifespan))


class _Server(uvicorn.Server):
    async def startup(self, sockets: object = None) -> None:  # noqa: ARG002 - it takes a free port
        await super().startup()
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


async def _serve(app: ASGIApp) -> None:
    config = uvicorn.Config(app, port=0, http="httptools", log_level="error", access_log=False)
    await _Server(config).serve()


@asynccontextmanager
async def _process(*role: str) -> AsyncIterator[tuple[int, int]]:
    """A process of this module in another role; its id and its port."""
    command = module_command("benchmarks.gateway", *role)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, env={**os.environ, **PYTHON_PATH})
    try:
        assert process.stdout is not None
        yield process.pid, int(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()


# --- the load


async def _send_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    """One request on an open connection, read to its end."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise SystemExit(f"refused: {head.decode()}")
    if b"chunked" in head:
        await reader.readuntil(b"\r\n0\r\n\r\n")
    else:
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))


def _request(target: Target, *, streamed: bool) -> bytes:
    body = orjson.dumps(CHAT_REQUEST | {"stream": streamed})
    head = f"POST {target.path}/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {target.key}"
    return f"{head}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def _round(target: Target, count: int, *, streamed: bool) -> RoundResult:
    request, left, times = _request(target, streamed=streamed), iter(range(count)), []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=1 << 20)
        for _ in left:
            began = perf_counter()
            await _send_request(reader, writer, request)
            times.append((perf_counter() - began) * 1000)
        writer.close()

    process = psutil.Process(target.pid)
    cpu, began = sum(process.cpu_times()[:2]), perf_counter()
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    took, cpu = perf_counter() - began, sum(process.cpu_times()[:2]) - cpu
    late = statistics.quantiles(times, n=20)[-1]
    return RoundResult(count / took, statistics.median(times), late, cpu / count * 1e6)


async def _compare(bare: Target, gateway: Target, count: int, *, streamed: bool) -> list[str]:
    """The rows of both; the ratio is the median of those of the rounds, each a pair run one after the other."""
    for target in (bare, gateway):
        await _round(target, WARM_UP, streamed=streamed)
    pairs = [
        (await _round(bare, count, streamed=streamed), await _round(gateway, count, streamed=streamed))
        for _ in range(ROUNDS)
    ]
    kind = f"stream of {len(EVENTS)} events" if streamed else "request"
    ratio = statistics.median(through.rate / past.rate for past, through in pairs)
    return [
        _row(kind, bare.name, [past for past, _ in pairs], 1.0),
        _row(kind, gateway.name, [through for _, through in pairs], ratio),
    ]


def _row(kind: str, name: str, rounds: list[RoundResult], ratio: float) -> str:
    rate, middle, late, cpu = (
        statistics.median(getattr(result, value) for result in rounds)
        for value in ("rate", "median", "late", "cpu")
    )
    return f"| {kind} | {name} | {rate:,.0f} | {ratio:.2f} | {middle:.2f} | {late:.2f} | {cpu:,.0f} |"


# --- the run


async def _prepare(database_url: str) -> tuple[str, str]:
    """The tables, and a deployment of the runtime's own model: the project's id and a key."""
    now, owner, project, deployment = datetime.now(UTC), *map(ids.new, ("User", "Project", "Deployment"))
    key, secret = new_key(owner, "benchmark", deployment_id=deployment, now=now)
    user = {"email": "b@example.test", "name": "B", "password_hash": "-", "current_plan": "free"}
    of_project = {"owner_id": owner, "name": "B", "task_type": next(iter(TaskType)), "num_examples_target": 1}
    of_project |= {"status": next(iter(ProjectStatus)), "max_seq_length": 1, "train_eval_split": 0.9}
    of_deployment = {"project_id": project, "model_name": MODEL, "status": DeploymentStatus.READY}
    of_key = {
        name: getattr(key, name) for name in ("id", "owner_id", "name", "prefix", "digest", "deployment_id")
    }
    database = engine(database_url)
    async with database.begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(insert(users).values(id=owner, created_at=now, **user))
        times = {"created_at": now, "updated_at": now}
        await connection.execute(insert(projects).values(id=project, **times, **of_project))
        await connection.execute(insert(deployments).values(id=deployment, created_at=now, **of_deployment))
        await connection.execute(insert(api_keys).values(created_at=now, **of_key))
    await database.dispose()
    return project, secret


async def _logged(database_url: str) -> int:
    database = engine(database_url)
    async with database.connect() as connection:
        found = await connection.scalar(select(func.count()).select_from(request_logs))
    await database.dispose()
    return int(found or 0)


async def measure() -> str:
    """A Markdown table of what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # PostgreSQL's user must reach its folder inside
        async with AsyncExitStack() as stack:
            names = await stack.enter_async_context(servers(Path(folder) / "home"))
            url = names["DATABASE_URL"]
            project, secret = await _prepare(url)
            pid, port = await stack.enter_async_context(_process("upstream"))
            bare = Target("past it", port, "/v1", "-", pid)
            async with _process("gateway", url, f"http://127.0.0.1:{port}/v1") as (pid, port):
                gateway = Target("through the gateway", port, f"/public/{project}/v1", secret, pid)
                rows = await _compare(bare, gateway, REQUESTS, streamed=False)
                rows += await _compare(bare, gateway, STREAMS, streamed=True)
            logged = await _logged(url)
    return _table(rows, logged)


def _table(rows: list[str], logged: int) -> str:
    sent = (REQUESTS + STREAMS) * ROUNDS + 2 * WARM_UP
    how = (
        f"Median of {ROUNDS} alternated rounds over {CONNECTIONS} connections, {os.cpu_count()} cores in all"
    )
    head = [
        f"{how}; {logged:,} of {sent:,} requests are in the log.",
        "",
        "| what | how | a second | ratio | median ms | p95 ms | CPU µs of its server |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([*head, *rows])


async def _main() -> None:
    async with asyncio.timeout(LIMIT_S):
        print(await measure())


ROLES: dict[str, Callable[..., Coroutine[None, None, None]]] = {
    "upstream": run_model_server,
    "gateway": run_gateway,
}


def main() -> None:
    role = ROLES[sys.argv[1]](*sys.argv[2:]) if len(sys.argv) > 1 else _main()
    uvloop.run(role)


if __name__ == "__main__":
    main()
