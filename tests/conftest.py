"""The servers that tests run on: real PostgreSQL, real S3, and the application over them."""

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import procrastinate
import pytest
import uvicorn
from argon2 import PasswordHasher
from psycopg.errors import DeadlockDetected
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.types import ASGIApp

from app.asgi import HANDLERS, add_routes, with_middleware
from app.local.servers import servers
from app.migrations import catalog, migrate, store_catalog
from app.serving import OPTIONS, proxies
from app.settings import Settings, read_settings
from app.wiring import Wiring, wire
from app.worker import register
from domain.services import Services
from infra.base_model_files import DiskBaseModelCache
from infra.db import tables
from infra.db.engine import conninfo, engine
from infra.queue import open_queue
from infra.security import Argon2Passwords
from tests.clients import Api, sign_up
from tests.fakes import hub as fake_hub
from tests.fakes.runtime import FakeCompletions, FakeRuntime
from tests.fakes.trainer import FakeTrainer


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for the whole session."""
    return "asyncio"


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A home that PostgreSQL's own user can enter, which pytest's temporary folders are not."""
    folder = Path(tempfile.mkdtemp(prefix="luthier-tests-"))
    folder.chmod(0o711)
    yield folder / "home"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def environment(anyio_backend: str, home: Path) -> AsyncIterator[dict[str, str]]:  # noqa: ARG001
    """PostgreSQL and S3 with the newest tables, as environment variables."""
    async with servers(home, durable=False) as variables:
        await asyncio.to_thread(migrate, variables["DATABASE_URL"])
        await store_catalog(variables["DATABASE_URL"], catalog(None))
        yield (
            variables
            | {
                "LUTHIER_HOME": str(home),
                "LUTHIER_RUNTIME_URL": "http://127.0.0.1:9",  # the discard port: tests of the runtime start their own
                "LUTHIER_RUNTIME_TOKEN": "a runtime token",
                "HF_ENDPOINT": "http://127.0.0.1:9",  # a test of a hub has the fixture `hub`
            }
        )


@pytest.fixture(scope="session")
def settings(environment: dict[str, str]) -> Iterator[Settings]:
    """The settings that the environment makes."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield read_settings()
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
async def database(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An engine on the tests' database."""
    own = engine(settings.database_url)
    yield own
    await own.dispose()


@pytest.fixture(scope="session")
async def wiring(settings: Settings) -> AsyncIterator[Wiring]:
    """The real adapters, wired as in a process."""
    async with wire(settings) as made:
        yield made


@pytest.fixture
async def clean(database: AsyncEngine) -> None:
    """A database with no row in it but the catalog's.

    A statement of the test before may still run: PostgreSQL notices late that its client has left. Locking the
    tables may then deadlock with it, after which PostgreSQL aborts one of the two.
    """
    names = [table.name for table in tables.metadata.sorted_tables if table.name != "base_models"]
    truncate = text(f"truncate {', '.join(names)}, procrastinate_jobs cascade")
    for is_last in (False, False, True):
        try:
            async with database.begin() as connection:
                await connection.execute(truncate)
        except OperationalError as error:
            if is_last or not isinstance(error.orig, DeadlockDetected):
                raise
        else:
            return


@pytest.fixture
def runtime() -> FakeRuntime:
    """The fake model runtime."""
    return FakeRuntime()


@pytest.fixture
async def trainer() -> FakeTrainer:
    """The fake training process."""
    return FakeTrainer()


@pytest.fixture
def hub() -> Iterator[fake_hub.FakeHub]:
    """A Hugging Face Hub without repositories, behind a port of its own."""
    with fake_hub.serving() as hub:
        yield hub


@pytest.fixture
async def own_base_models(wiring: Wiring, clean: None) -> AsyncIterator[None]:  # noqa: ARG001
    """Base models that a test adds and changes are as before when it ends: all tests share the catalog."""
    yield
    async with wiring.services.transactions.begin() as store:
        entries = {entry.id: entry for entry in catalog(None)}
        stored = await store.base_models.lock_catalog()
        await store.base_models.delete([model.id for model in stored if model.id not in entries])
        for entry in entries.values():
            await store.base_models.put(entry)


@pytest.fixture
def services(wiring: Wiring, runtime: FakeRuntime, trainer: FakeTrainer, tmp_path: Path) -> Services:
    """The ports, with fakes in the place of models."""
    return replace(
        wiring.services,
        runtime=runtime,
        completions=FakeCompletions(),
        trainer=trainer,
        passwords=Argon2Passwords(
            PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        ),  # each test signs up
        work_folder=tmp_path / "work",
        base_model_cache=DiskBaseModelCache(tmp_path / "models"),
    )


@pytest.fixture
async def application(wiring: Wiring, services: Services, settings: Settings, clean: None) -> ASGIApp:  # noqa: ARG001
    """The application on a clean database."""
    return assemble(wiring, services, settings)


def assemble(wiring: Wiring, services: Services, settings: Settings) -> ASGIApp:
    """The application over these services."""
    app = Starlette(exception_handlers=HANDLERS)
    add_routes(app, replace(wiring, services=services), settings)
    return with_middleware(app, settings)


def client(application: ASGIApp) -> httpx.AsyncClient:
    """An HTTP client of the application, with nothing between; faults come as responses."""
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://luthier.test")


@pytest.fixture
async def anonymous(application: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    async with client(application) as rest:
        yield rest


@pytest.fixture
async def api(application: ASGIApp) -> AsyncIterator[Api]:
    """A signed-in user, and `api.other`, a second one."""
    async with client(application) as rest, client(application) as other:
        one = await sign_up(rest)
        one._other = await sign_up(other)
        yield one


@dataclass
class Worker:
    """A worker that runs what is queued."""

    queue: procrastinate.App

    async def drain(self) -> None:
        """Run everything that is queued, and what that enqueues, to its end."""
        while await self._waiting():
            await self._run()

    async def _waiting(self) -> bool:
        """Whether anything is queued that is due."""
        count = "select count(*) from procrastinate_jobs where status = 'todo' and coalesce(scheduled_at, now()) <= now()"
        found = await self.queue.connector.execute_query_one_async(count)
        return bool(found["count"])

    async def _run(self) -> None:
        await self.queue.run_worker_async(
            wait=False,
            concurrency=4,
            install_signal_handlers=False,
            listen_notify=False,
            delete_jobs="successful",
        )


@pytest.fixture
async def worker(services: Services, settings: Settings, clean: None) -> AsyncIterator[Worker]:  # noqa: ARG001
    """A worker over the same services as the application."""
    queue = open_queue(conninfo(settings.database_url), connections=6)
    register(queue, services, stalled_s=20)
    async with queue.open_async():
        yield Worker(queue)


class Server(uvicorn.Server):
    """Signals when it is ready, and leaves signals to the tests' own process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self.ready.set()


@pytest.fixture
async def live(application: ASGIApp, settings: Settings) -> AsyncIterator[str]:
    """The application behind a real HTTP server, for what a direct transport cannot show: streams, sockets."""
    config = uvicorn.Config(
        application,
        host="127.0.0.1",
        port=0,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
        **OPTIONS,
        **proxies(settings.trusted_proxies),
    )
    server = Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    serving = asyncio.create_task(server.serve())
    await server.ready.wait()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving
