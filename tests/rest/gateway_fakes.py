"""Fakes around a gateway: a model server over HTTP, and implementations of the gateway's three ports."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import uvicorn
from openai import AsyncOpenAI
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.errors import DomainError, NotFound, Unauthenticated
from domain.ports.gateway import Route
from domain.ports.model_runtime import ModelFile, Upstream
from domain.request_logs import RequestLog
from rest.gateway import Gateway

PROJECT, SECRET, MODEL = "prj_1", "lk_secret", "llama_demo_v1"
ROUTE = Route(
    deployment_id="dep_1",
    api_key_id="key_1",
    model_name=MODEL,
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
    target=ModelFile(model_id="finetune_1", s3_key="finetunes/finetune_1/m.gguf", size_bytes=1, sha256="0"),
)
CHAT_REQUEST: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hello?"}]}
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def event(data: object) -> bytes:
    """One event of a stream."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def text_event(text: str, finish: str | None = None) -> bytes:
    """An event that adds a text."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return event(
        {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    )


COUNTED = event(
    {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": USAGE}
)
DONE = event(b"[DONE]")
STREAM = [text_event("Hel"), text_event("lo."), text_event("", "stop"), COUNTED, DONE]

Respond = Callable[[Receive, Send], Awaitable[None]]


def whole(status: int, body: object, headers: Mapping[str, str] | None = None) -> Respond:
    """A whole response at once."""

    async def respond(_: Receive, send: Send) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"content-type": "application/json"} | dict(headers or {})
        await start(send, status, lines)
        await send({"type": "http.response.body", "body": raw})

    return respond


def stream(pieces: Sequence[bytes], *, breaks_off: bool = False) -> Respond:
    """A stream of bytes, in the pieces in which they are sent."""

    async def respond(_: Receive, send: Send) -> None:
        await start(send, 200, {"content-type": "text/event-stream"})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if not breaks_off:
            await send({"type": "http.response.body"})

    return respond


async def start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    """Send the status and the headers of a response."""
    lines = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})


CHAT = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": USAGE,
    "timings": {"predicted_ms": 3.5},
}


class FakeModel:
    """A model server with a configurable response, which records its requests and the addresses of their connections."""

    def __init__(self) -> None:
        self.respond: Respond = whole(200, CHAT)
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.connections: list[tuple[str, int]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((scope["path"], headers, json.loads(body)))
        self.connections.append(scope["client"])
        await self.respond(receive, send)


class FakeKeyTable:
    """One key of one project for one model."""

    def __init__(self) -> None:
        self.refusal: DomainError | None = None
        self.model_name = MODEL
        self.target = ROUTE.target
        self.is_ready = True

    async def route(self, project_id: str, secret: str, model_name: str) -> Route:
        [route] = await self.routes(project_id, secret)
        if model_name != route.model_name:
            raise NotFound("No such model.")
        return route

    async def routes(self, project_id: str, secret: str) -> list[Route]:
        if self.refusal:
            raise self.refusal
        if (project_id, secret) != (PROJECT, SECRET):
            raise Unauthenticated("The API key is not one of this project's.")
        return [replace(ROUTE, model_name=self.model_name, target=self.target)] if self.is_ready else []


class FakeUpstreams:
    """Returns the addresses in order, the last one repeatedly; raises `refusal` where it is set."""

    def __init__(self) -> None:
        self.upstreams: list[Upstream] = []
        self.refusal: DomainError | None = None
        self.invalidated: list[str] = []

    async def upstream(self, _: ModelFile | str) -> Upstream:
        if self.refusal:
            raise self.refusal
        return self.upstreams.pop(0) if len(self.upstreams) > 1 else self.upstreams[0]

    def invalidate(self, model_id: str) -> None:
        self.invalidated.append(model_id)

    async def remove(self, model_id: str) -> None:
        raise NotImplementedError(model_id)

    async def health(self) -> str:
        return "connected"


class FakeLogWriter:
    """Hands out what was written, in order."""

    def __init__(self) -> None:
        self._logs: asyncio.Queue[RequestLog] = asyncio.Queue()

    async def write(self, log: RequestLog) -> None:
        self._logs.put_nowait(log)

    async def next(self) -> RequestLog:
        return await asyncio.wait_for(self._logs.get(), 5)

    @property
    def is_empty(self) -> bool:
        return self._logs.empty()


@dataclass
class GatewaySetup:
    """A gateway with fakes of everything that it uses. `url` ends before `/chat/completions`."""

    url: str
    model: FakeModel
    upstream: Upstream
    key_table: FakeKeyTable
    runtime: FakeUpstreams
    log_writer: FakeLogWriter
    client: httpx.AsyncClient
    openai: AsyncOpenAI

    async def send(self, body: object = None, secret: str = SECRET, **change: object) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(CHAT_REQUEST | change)
        headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
        return await self.client.post(f"{self.url}/chat/completions", content=raw, headers=headers)

    def stream(self) -> AbstractAsyncContextManager[httpx.Response]:
        headers = {"authorization": f"Bearer {SECRET}"}
        body = CHAT_REQUEST | {"stream": True}
        return self.client.stream("POST", f"{self.url}/chat/completions", json=body, headers=headers)


class _Server(uvicorn.Server):
    """Stops at once, and installs no signal handlers."""

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(app, log_config=None, lifespan="off")
        super().__init__(config)
        self.stopping = asyncio.Event()

    async def main_loop(self) -> None:
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.gather(*self.server_state.tasks)


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application on a free port; its address. Requests that come early wait in the socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _Server(app)
        task = asyncio.create_task(server._serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.stopping.set()
            await task


@asynccontextmanager
async def gateway_setup() -> AsyncIterator[GatewaySetup]:
    """A gateway before a model server, each on a port of its own."""
    model, key_table, runtime, log_writer = FakeModel(), FakeKeyTable(), FakeUpstreams(), FakeLogWriter()
    gateway = Gateway(key_table, runtime, log_writer)
    async with AsyncExitStack() as stack:
        model_url = await stack.enter_async_context(serving(model))
        url = await stack.enter_async_context(serving(gateway)) + f"/public/{PROJECT}/v1"
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
        openai = await stack.enter_async_context(AsyncOpenAI(base_url=url, api_key=SECRET, max_retries=0))
        stack.push_async_callback(gateway.aclose)
        upstream = Upstream(base_url=f"{model_url}/v1", model="finetune_1", api_key="model-key")
        runtime.upstreams = [upstream]
        yield GatewaySetup(url, model, upstream, key_table, runtime, log_writer, client, openai)
