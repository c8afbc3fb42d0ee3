"""The environment of the API benchmarks: PostgreSQL, `luthier serve`, and the core of each process.

Where there are two cores, the server under test has the first one to itself; PostgreSQL and the load share the
second, whichever server is measured.
"""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import psutil

from app.local.servers import servers
from app.migrations import migrate, store_catalog
from app.program import PROGRAM

START_TIMEOUT_S = 60
LAST_LINES = 20
REGISTER = """mutation($input: RegisterInput!) {
  register(input: $input) { accessToken user { id } userErrors { message } }
}"""

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
PINNED = len(CORES) > 1
SERVER, REST = (CORES[0], CORES[1]) if PINNED else (0, 0)
PYTHON_PATH = {"PYTHONPATH": str(Path(__file__).parents[1])}
"""The environment variable by which children find this package, which is not installed."""


@contextmanager
def on(core: int) -> Iterator[None]:
    """Pin processes that are started inside the block to one core."""
    before = os.sched_getaffinity(0) if PINNED else set()
    if PINNED:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        if PINNED:
            os.sched_setaffinity(0, before)


def _pin(process: psutil.Process, core: int) -> None:
    if PINNED:
        process.cpu_affinity([core])


@asynccontextmanager
async def database_environment() -> AsyncIterator[dict[str, str]]:
    """PostgreSQL with all tables in a temporary home, as environment variables."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # PostgreSQL's user must reach its folder inside
        home = Path(folder) / "home"
        async with servers(home, durable=False) as variables:
            for child in psutil.Process().children(recursive=True):
                _pin(child, REST)
            await asyncio.to_thread(migrate, variables["DATABASE_URL"])
            await store_catalog(variables["DATABASE_URL"])
            with on(REST):
                yield variables | {
                    "LUTHIER_HOME": str(home),
                    "LLM_BASE_URL": "http://127.0.0.1:9/v1",  # the discard port: no model is used
                    "RATE_LIMITS": "off",
                }


@asynccontextmanager
async def process(
    *command: str, core: int, env: Mapping[str, str] | None = None, log: IO[bytes] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A child process on one core, with pipes for stdin and stdout; stderr is inherited, or goes to `log`."""
    pipe, limit = asyncio.subprocess.PIPE, 1 << 24
    with on(core):
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=pipe,
            stdout=pipe,
            stderr=log,
            env={**os.environ, **PYTHON_PATH, **(env or {})},
            limit=limit,
        )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


@dataclass(frozen=True)
class Server:
    """A running server."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        """Its GraphQL endpoint, where it has one."""
        return f"http://127.0.0.1:{self.port}/graphql"

    def cpu(self) -> float:
        """The seconds of CPU that all its threads have used."""
        return float(sum(psutil.Process(self.pid).cpu_times()[:2]))

    def memory(self) -> int:
        """The proportional set size, in bytes."""
        return int(psutil.Process(self.pid).memory_full_info().pss)


@asynccontextmanager
async def luthier(
    variables: Mapping[str, str], *, program: tuple[str, ...] = PROGRAM
) -> AsyncIterator[Server]:
    """`luthier serve`, as one process."""
    port = _free_port()
    command = (*program, "serve", "--port", str(port))
    with tempfile.TemporaryFile() as log:
        try:
            async with process(*command, core=SERVER, env=variables, log=log) as child:
                server = Server(child.pid, port)
                await _answers(server)
                yield server
        except BaseException:
            log.seek(0)
            sys.stderr.writelines(line.decode() for line in log.readlines()[-LAST_LINES:])
            raise


@asynccontextmanager
async def announced(*command: str, env: Mapping[str, str]) -> AsyncIterator[Server]:
    """A server that prints its port once it listens."""
    async with process(*command, core=SERVER, env=env) as child:
        assert child.stdout is not None
        yield Server(child.pid, int(await asyncio.wait_for(child.stdout.readline(), START_TIMEOUT_S)))


async def _answers(server: Server) -> None:
    """Wait until GraphQL answers."""
    async with asyncio.timeout(START_TIMEOUT_S), httpx.AsyncClient() as client:
        while True:
            try:
                response = await client.post(server.url, json={"query": "{ __typename }"})
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                response.raise_for_status()
                return


async def sign_up(server: Server, name: str) -> tuple[str, str]:
    """A new account's id and bearer token."""
    input = {"email": f"{name}@example.org", "password": "correct horse", "name": name}
    async with httpx.AsyncClient() as client:
        body = {"query": REGISTER, "variables": {"input": input}}
        payload: Any = (await client.post(server.url, json=body)).json()["data"]["register"]
    return payload["user"]["id"], payload["accessToken"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def where() -> str:
    """How the cores were assigned, for the line above a table."""
    if not PINNED:
        return f"{len(CORES) or os.cpu_count()} core, shared by all"
    return "the server alone on one core, PostgreSQL and the load on another"
