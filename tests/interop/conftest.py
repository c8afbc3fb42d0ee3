"""Luthier before a scripted model server, and the clients in environments of their own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import Settings
from app.wiring import Wiring, wire
from domain.services import Services
from infra.security import Argon2Passwords
from tests.clients import Api
from tests.conftest import Worker
from tests.interop.scripted_model import MODEL, ScriptedModel
from tests.jobs import new_project
from tests.rest.gateway_fakes import serving

FOLDER = Path(__file__).parent
PYTHON = FOLDER / ".venv" / "bin" / "python"
NODE = Path(sys.executable).with_name("node")
NODE_MODULES = FOLDER / "node" / "node_modules"
NEEDED = os.environ.get("LUTHIER_NEEDS_CLIENTS") == "1"
"""Whether to fail without the clients, as in `make test`, rather than to skip."""
RETRY_COUNT = b"x-stainless-retry-count"
"""A header in which the clients of OpenAI count the attempts before this one."""


@pytest.fixture(scope="session")
async def scripted_model(anyio_backend: str) -> AsyncIterator[tuple[ScriptedModel, str]]:  # noqa: ARG001
    """The scripted model server, and its address."""
    model = ScriptedModel()
    async with serving(model.app) as url:
        yield model, url


@pytest.fixture(scope="session")
def settings(settings: Settings, scripted_model: tuple[ScriptedModel, str]) -> Settings:
    """The settings with the scripted model server in the place of the embedded runtime."""
    _, url = scripted_model
    return settings.model_copy(update={"llm_base_url": f"{url}/v1", "llm_api_key": "the model server's key"})


@pytest.fixture(scope="session")
async def wiring(settings: Settings) -> AsyncIterator[Wiring]:
    """The real adapters, with the runtime of an external model server."""
    async with wire(settings) as made:
        yield made


@pytest.fixture
def services(wiring: Wiring, tmp_path: Path) -> Services:
    """The ports as they are wired, with passwords that are hashed quickly."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return replace(wiring.services, passwords=Argon2Passwords(hasher), work_folder=tmp_path / "work")


class Recorder:
    """Records the status of each response of an application, and which requests were retries."""

    def __init__(self, app: ASGIApp, forwarded: asyncio.Event) -> None:
        self._app = app
        self._forwarded = forwarded
        self._statuses: list[int] = []
        self.retried: list[int] = []
        """The status before each retry, where a client sends one request after the other."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if int(headers.get(RETRY_COUNT, b"0")):
            self.retried.append(self._statuses[-1])

        async def record(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._statuses.append(message["status"])
            await send(message)
            if message["type"] == "http.response.body":
                self._forwarded.set()

        await self._app(scope, receive, record)


@pytest.fixture
def application(application: ASGIApp, scripted_model: tuple[ScriptedModel, str]) -> Recorder:
    """The application, recorded."""
    return Recorder(application, scripted_model[0].forwarded)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a user copies into a client of OpenAI."""

    base_url: str
    api_key: str
    model: str = MODEL

    @property
    def environment(self) -> dict[str, str]:
        """The endpoint as the programs read it."""
        return {"BASE_URL": self.base_url, "API_KEY": self.api_key, "MODEL": self.model}


@pytest.fixture
async def endpoint(api: Api, live: str, worker: Worker) -> Endpoint:
    """The endpoint of a deployment of the scripted model."""
    project_id = await new_project(api)
    made = await api.mutate("createDeployment", "apiKey", projectId=project_id, modelName=MODEL)
    await worker.drain()
    return Endpoint(f"{live}/public/{project_id}/v1", made["apiKey"])


Run = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


@pytest.fixture
def run() -> Run:
    """Runs a program of `programs/`; its lines of output, each `{"case", "result"}`, as one object.

    `overlay` is a folder of packages that come before those of the environment, such as `openai-1`.
    """
    return _run


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The cases whose results are not what was expected, each with the result and the expectation."""
    pairs = {name: [found.get(name), expected.get(name)] for name in found | expected}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


async def _run(program: str, variables: dict[str, str], overlay: str = "") -> dict[str, Any]:
    check_installed()
    packages = {"PYTHONPATH": str(FOLDER / ".venv" / overlay)} if overlay else {}
    lines = (await output(command(program), variables | packages)).splitlines()
    cases = [json.loads(line) for line in lines if line.startswith('{"case":')]  # litellm prints hints between
    return {case["case"]: case["result"] for case in cases}


def check_installed() -> None:
    """Skip the test where the clients are not installed; fail it where they are needed."""
    if not (PYTHON.exists() and NODE_MODULES.exists()):
        assert not NEEDED, "The clients are not installed: `make clients` installs them."
        pytest.skip("The clients are not installed: `make clients` installs them.")


def command(program: str) -> list[str]:
    """The command line of a program."""
    if program.endswith(".mjs"):
        return [str(NODE), str(FOLDER / "node" / program)]
    return [str(PYTHON), str(FOLDER / "programs" / program)]


async def output(words: list[str], variables: dict[str, str], cwd: Path | None = None) -> str:
    """What a command prints; fails the test with its errors where it exits with another status than 0."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=cwd,
        env=_inherited() | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 0, f"{out.decode()}\n{err.decode()}"
    return out.decode()


def _inherited() -> dict[str, str]:
    """The variables of the tests that a client may see; those of the clients themselves keep them on this machine."""
    found = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return found | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false"}
