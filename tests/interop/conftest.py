"""Luthier before a scripted model server."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import Settings
from app.wiring import Wiring, wire
from domain.services import Services
from infra.security import Argon2Passwords
from tests.clients import Api
from tests.conftest import Worker
from tests.interop.running import Endpoint
from tests.interop.scripted_model import MODEL, ScriptedModel
from tests.jobs import new_project
from tests.rest.gateway_fakes import serving

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


@pytest.fixture
async def endpoint(api: Api, live: str, worker: Worker) -> Endpoint:
    """The endpoint of a deployment of the scripted model."""
    project_id = await new_project(api)
    made = await api.mutate("createDeployment", "apiKey", projectId=project_id, modelName=MODEL)
    await worker.drain()
    return Endpoint(f"{live}/public/{project_id}/v1", made["apiKey"])
