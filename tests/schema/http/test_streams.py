"""WebSockets and event streams: their quotas, which are always released, their lifetime and their protocol."""

import asyncio
import json
import logging
import select
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from app.asgi import HANDLERS, add_routes, with_middleware
from app.settings import Settings
from app.wiring import Wiring
from domain.job_events import LogLine, RecordedEvent
from domain.jobs import Job
from domain.ports.job_streams import JobStreams
from domain.services import Services
from edge.connection_quotas import ConnectionQuotas, Quota
from schema.http._requests import MAX_BODY_BYTES
from tests.clients import Api
from tests.finetuning import create_finetune, new_dataset, new_project
from tests.jobs import queued_job, record_events, start_job, succeed

pytestmark = pytest.mark.anyio

FOLLOW = "subscription($id: ID!) { jobEvents(jobId: $id) { cursor ... on LogEvent { line } } }"
LINES, LENGTH = 600, 16_000


class ObservedQuota(Quota):
    """A quota with an event that is set at each release."""

    def __init__(self, most: int, what: str) -> None:
        super().__init__(most, what)
        self.released = asyncio.Event()

    def _release(self, holder: str) -> None:
        super()._release(holder)
        self.released.set()


@dataclass
class ObservedStreams:
    """Counts the events that were delivered and the streams that were closed."""

    real: JobStreams
    delivered: int = 0
    closed: int = 0

    async def events(self, job_id: str, after: int = 0) -> AsyncGenerator[RecordedEvent, None]:
        try:
            async with aclosing(self.real.events(job_id, after)) as recorded:
                async for event in recorded:
                    self.delivered += 1
                    yield event
        finally:
            self.closed += 1

    async def until_ended(self, job: Job) -> None:
        await self.real.until_ended(job)


@dataclass
class Clock:
    """The current time, ahead by as much as a test sets."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def quotas() -> ConnectionQuotas:
    made = ConnectionQuotas(subscriptions=3, websockets=2, unauthenticated_websockets=1, operations=2)
    made.subscriptions = ObservedQuota(3, "streams")
    made.websockets = ObservedQuota(2, "connections")
    made.unauthenticated_websockets = ObservedQuota(1, "connections that are not signed in")
    made.operations = ObservedQuota(2, "operations on one connection")
    return made


@pytest.fixture
def observed(wiring: Wiring) -> ObservedStreams:
    return ObservedStreams(wiring.services.job_streams)


@pytest.fixture
def services(services: Services, observed: ObservedStreams, clock: Clock) -> Services:
    return replace(services, job_streams=observed, now=clock)


@pytest.fixture
async def application(
    wiring: Wiring,
    services: Services,
    quotas: ConnectionQuotas,
    settings: Settings,
    clean: None,  # noqa: ARG001
) -> ASGIApp:
    app = Starlette(exception_handlers=HANDLERS)
    add_routes(app, replace(wiring, services=services, quotas=quotas), settings)
    return with_middleware(app, settings.model_copy(update={"slow_client_timeout_s": 0.3}))


async def wait_until_released(quota: Quota, holder: str) -> None:
    """Wait until the holder has nothing open."""
    assert isinstance(quota, ObservedQuota)
    while quota.open_count(holder):
        quota.released.clear()
        async with asyncio.timeout(20):
            await quota.released.wait()


@asynccontextmanager
async def sse(url: str, token: str, job_id: str) -> AsyncIterator[httpx.Response]:
    """An open stream over HTTP."""
    headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
    body = {"query": FOLLOW, "variables": {"id": job_id}}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as rest,
        rest.stream("POST", "/graphql", json=body) as response,
    ):
        yield response


@asynccontextmanager
async def open_websocket(url: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """A WebSocket before `connection_init`."""
    protocol = Subprotocol("graphql-transport-ws")
    address = url.replace("http", "ws") + "/graphql"
    async with connect(address, subprotocols=[protocol], **options) as socket:
        yield socket


@asynccontextmanager
async def websocket(url: str, token: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """An acknowledged WebSocket."""
    async with open_websocket(url, **options) as socket:
        await send(socket, type="connection_init", payload={"authorization": f"Bearer {token}"})
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        yield socket


async def send(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def subscribe(socket: ClientConnection, id: str, job_id: str) -> None:
    payload = {"query": FOLLOW, "variables": {"id": job_id}}
    await send(socket, type="subscribe", id=id, payload=payload)


async def received(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await socket.recv())
    return message


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """The code and the reason that the server closed the connection with."""
    async with asyncio.timeout(20):
        await socket.wait_closed()
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


async def test_the_limit_on_a_users_streams_counts_every_transport(
    api: Api, services: Services, quotas: ConnectionQuotas, live: str
) -> None:
    job = await queued_job(api, services)
    project_id = await new_project(api)
    made = await create_finetune(api, project_id, await new_dataset(services, api, project_id))
    log = f"/api/projects/{project_id}/finetunes/{made['finetune']['id']}/logs/stream"
    async with AsyncExitStack() as open:
        first = await open.enter_async_context(sse(live, api.token, job.id))
        assert first.headers["x-accel-buffering"] == "no"
        assert first.headers["cache-control"].startswith("no-store")
        socket = await open.enter_async_context(websocket(live, api.token))
        await subscribe(socket, "1", job.id)
        assert (await received(socket))["type"] == "next"
        rest = await open.enter_async_context(httpx.AsyncClient(base_url=live, headers=api.rest.headers))
        third = await open.enter_async_context(rest.stream("GET", log))
        assert third.status_code == 200

        await subscribe(socket, "2", job.id)
        refused = await received(socket)
        assert (refused["type"], refused["id"]) == ("error", "2")
        (error,) = refused["payload"]
        assert (error["extensions"]["code"], error["extensions"]["retryAfter"]) == ("RATE_LIMITED", 5)
        async with sse(live, api.token, job.id) as response:
            body = json.loads(await response.aread())
        assert (response.status_code, response.headers["retry-after"]) == (429, "5")
        assert body["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        response = await rest.get(log)
        assert (response.status_code, response.json()["error_code"]) == (429, "RATE_LIMITED")
        async with sse(live, api.other.token, job.id) as response:
            assert response.status_code == 200  # another user's are counted apart
    await wait_until_released(quotas.subscriptions, api.user_id)
    await wait_until_released(quotas.subscriptions, api.other.user_id)


async def test_a_stream_releases_its_quota_however_it_ends(
    api: Api, services: Services, quotas: ConnectionQuotas, live: str, observed: ObservedStreams
) -> None:
    job = await queued_job(api, services)
    async with websocket(live, api.token) as socket:
        await subscribe(socket, "completed", job.id)
        assert (await received(socket))["type"] == "next"
        await send(socket, type="complete", id="completed")
        await wait_until_released(quotas.subscriptions, api.user_id)
        await subscribe(socket, "refused", "job_x")
        assert [(await received(socket))["type"] for _ in range(2)] == ["next", "complete"]
        await wait_until_released(quotas.subscriptions, api.user_id)
        await subscribe(socket, "cut off", job.id)
        await received(socket)
        assert quotas.subscriptions.open_count(api.user_id) == 1
    await wait_until_released(quotas.subscriptions, api.user_id)
    async with sse(live, api.token, job.id) as response:
        await anext(response.aiter_lines())
    await wait_until_released(quotas.subscriptions, api.user_id)
    async with sse(live, api.token, job.id) as response:
        await succeed(services, await start_job(services, job.id))
        assert (await response.aread()).endswith(b"event: complete\ndata: \n\n")
    await wait_until_released(quotas.subscriptions, api.user_id)
    await wait_until_released(quotas.websockets, api.user_id)
    assert observed.closed == 4


async def test_a_users_websockets_are_limited(api: Api, live: str, quotas: ConnectionQuotas) -> None:
    async with websocket(live, api.token), websocket(live, api.token), open_websocket(live) as third:
        await send(third, type="connection_init", payload={"authorization": f"Bearer {api.token}"})
        code, reason = await closed(third)
        assert (code, "connections" in reason) == (4429, True)
        async with websocket(live, api.other.token):
            pass
    await wait_until_released(quotas.websockets, api.user_id)


async def test_the_operations_of_one_connection_are_limited(api: Api, services: Services, live: str) -> None:
    job = await queued_job(api, services)
    async with websocket(live, api.token) as socket:
        for id in "12":
            await subscribe(socket, id, job.id)
            assert (await received(socket))["type"] == "next"
        await subscribe(socket, "3", job.id)
        refused = await received(socket)
        assert (refused["type"], refused["payload"][0]["extensions"]["code"]) == ("error", "RATE_LIMITED")


async def test_unauthenticated_connections_are_limited_in_number_and_time(
    api: Api, live: str, quotas: ConnectionQuotas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schema.http._websocket.INIT_TIMEOUT_S", 0.2)
    async with open_websocket(live) as silent:
        async with open_websocket(live) as second:
            assert (await closed(second))[0] == 4429
        assert await closed(silent) == (4408, "Connection initialisation timeout")
    await wait_until_released(quotas.unauthenticated_websockets, "127.0.0.1")
    async with websocket(live, api.token) as socket:
        await send(socket, type="ping")
        assert await received(socket) == {"type": "pong"}


async def test_streams_end_when_the_token_expires(
    api: Api, services: Services, quotas: ConnectionQuotas, live: str, clock: Clock
) -> None:
    job = await queued_job(api, services)
    project_id = await new_project(api)
    made = await create_finetune(api, project_id, await new_dataset(services, api, project_id))
    log = f"/api/projects/{project_id}/finetunes/{made['finetune']['id']}/logs/stream"
    ticket = (await api.gql(f'{{ ticket(path: "{log}") {{ ticket }} }}'))["ticket"]["ticket"]
    viewer = services.tokens.viewer(api.token)
    assert viewer is not None
    clock.ahead = viewer.expires_at - datetime.now(UTC) - timedelta(seconds=2)
    async with (
        websocket(live, api.token) as socket,
        sse(live, api.token, job.id) as events,
        httpx.AsyncClient(base_url=live, headers=api.rest.headers) as rest,
        rest.stream("GET", log) as followed,
        httpx.AsyncClient(base_url=live) as browser,
        browser.stream("GET", log, params={"ticket": ticket}) as opened_by_ticket,
    ):
        await subscribe(socket, "1", job.id)
        assert await closed(socket) == (4403, "The token has expired.")
        heard = (await events.aread()).decode()
        delivered = [(await response.aread()).decode() for response in (followed, opened_by_ticket)]
    *_, last, complete, end = heard.split("\n\n")
    assert json.loads(last.partition("data: ")[2])["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert (complete, end) == ("event: complete\ndata: ", "")
    expired = 'event: error\ndata: {"status": "unauthenticated", "error": "The token has expired."}\n\n'
    assert [text.endswith(expired) for text in delivered] == [True, True]
    await wait_until_released(quotas.subscriptions, api.user_id)


async def job_with_many_events(api: Api, services: Services) -> Job:
    """A job with more events than the buffers on the way can take."""
    job = await start_job(services, (await queued_job(api, services)).id)
    for _ in range(LINES // 100):
        await record_events(services, job, *(LogLine("x" * LENGTH) for _ in range(100)))
    return job


def connect_with_small_buffer(url: str) -> socket.socket:
    """A connection whose receive buffer is as small as can be."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    address = urlsplit(url)
    made.connect((address.hostname, address.port))
    return made


def is_reset(client: socket.socket) -> bool:
    """Wait, without reading, until the connection is reset."""
    poll = select.poll()
    poll.register(client, 0)  # errors are reported without being registered for
    return bool(poll.poll(20_000))


def assert_disconnected(caplog: pytest.LogCaptureFixture, observed: ObservedStreams, viewer: str) -> None:
    """One warning in the log names the viewer; the stream was closed, and most lines were never read."""
    (record,) = [record for record in caplog.records if record.name == "edge.slow_clients"]
    assert "read nothing" in record.getMessage()
    assert vars(record)["viewer"] == viewer
    assert vars(record)["request_id"]
    assert observed.closed == 1
    assert observed.delivered < LINES / 2
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


async def test_a_slow_client_of_an_event_stream_is_disconnected(
    api: Api, services: Services, quotas: ConnectionQuotas, live: str, observed: ObservedStreams,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    job = await job_with_many_events(api, services)
    body = json.dumps({"query": FOLLOW, "variables": {"id": job.id}})
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {api.token}\r\naccept: text/event-stream\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with await asyncio.to_thread(connect_with_small_buffer, live) as client:
        client.sendall((head + body).encode())
        assert await asyncio.to_thread(is_reset, client)
        await wait_until_released(quotas.subscriptions, api.user_id)
    assert_disconnected(caplog, observed, api.user_id)


async def test_a_slow_client_of_a_websocket_is_disconnected(
    api: Api, services: Services, quotas: ConnectionQuotas, live: str, observed: ObservedStreams,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    job = await job_with_many_events(api, services)
    client = await asyncio.to_thread(connect_with_small_buffer, live)
    client.setblocking(False)
    async with websocket(live, api.token, sock=client, max_queue=1) as connection:
        await subscribe(connection, "1", job.id)
        await wait_until_released(quotas.subscriptions, api.user_id)
        await wait_until_released(quotas.websockets, api.user_id)
    assert_disconnected(caplog, observed, api.user_id)


@pytest.mark.parametrize(
    ("message", "message_part"),
    [
        ("not json", "JSON"),
        ("[" * 1_000, "JSON"),
        ('{"type": "ping", "payload": %s}' % ("[" * 100 + "]" * 100), "deep"),
        ("[]", "JSON object"),
        ('{"type": ["ping"]}', "JSON object"),
        ('{"type": "start", "id": "1"}', "type"),
        ('{"type": "subscribe", "payload": {"query": "{ __typename }"}}', "`id`"),
        ('{"type": "subscribe", "id": ["1"], "payload": {"query": "{ __typename }"}}', "`id`"),
        ('{"type": "complete", "id": {}}', "`id`"),
        ('{"type": "subscribe", "id": "1"}', "JSON object"),
        ('{"type": "subscribe", "id": "1", "payload": {"query": 1}}', "`query`"),
        ('{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "variables": []}}', "`variables`"),
        (b"{}", "text"),
    ],
)
async def test_an_invalid_message_closes_the_connection_with_a_reason(
    api: Api, live: str, message: str | bytes, message_part: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with websocket(live, api.token) as socket:
        await socket.send(message)
        code, reason = await closed(socket)
    assert (code, message_part in reason) == (4400, True), reason
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


async def test_a_message_above_the_limit_closes_the_connection(api: Api, live: str) -> None:
    async with websocket(live, api.token) as socket:
        await socket.send("x" * (MAX_BODY_BYTES + 1))
        assert (await closed(socket))[0] == 1009


async def test_violations_of_the_protocol_close_the_connection(api: Api, live: str) -> None:
    async with open_websocket(live) as socket:
        await send(socket, type="subscribe", id="1", payload={"query": "{ __typename }"})
        assert await closed(socket) == (4401, "Unauthorized")
    async with websocket(live, api.token) as socket:
        await send(socket, type="connection_init")
        assert (await closed(socket))[0] == 4429
    async with connect(
        f"{live.replace('http', 'ws')}/graphql", subprotocols=[Subprotocol("graphql-ws")]
    ) as old:
        assert (await closed(old))[0] == 4406


async def test_an_invalid_document_ends_only_its_operation(api: Api, live: str) -> None:
    async with websocket(live, api.token) as socket:
        for query, name in (("{", None), ("{ nothing }", None), ("{ __typename }", "Other")):
            payload = {"query": query, "operationName": name}
            await send(socket, type="subscribe", id="1", payload=payload)
            response = await received(socket)
            assert (response["type"], response["id"]) == ("error", "1")
            assert [error["extensions"]["code"] for error in response["payload"]] == ["BAD_USER_INPUT"]
        await send(socket, type="subscribe", id="1", payload={"query": "{ __typename }"})
        assert (await received(socket))["payload"]["data"] == {"__typename": "Query"}
        assert await received(socket) == {"type": "complete", "id": "1"}


async def test_an_idle_stream_sends_keep_alive_comments(
    api: Api, services: Services, live: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.event_streams.KEEP_ALIVE_S", 0.05)
    job = await queued_job(api, services)
    async with sse(live, api.token, job.id) as response:
        async for line in response.aiter_lines():
            if line.startswith(":"):
                break
        assert line == ": keep-alive"


async def test_a_client_that_accepts_both_gets_queries_as_json_and_subscriptions_as_events(
    api: Api, services: Services, live: str
) -> None:
    job = await succeed(services, await start_job(services, (await queued_job(api, services)).id))
    both = {
        "accept": "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"
    }
    async with httpx.AsyncClient(base_url=live, headers={**api.rest.headers, **both}) as rest:
        query = await rest.post("/graphql", json={"query": "{ __typename }"})
        followed = await rest.post("/graphql", json={"query": FOLLOW, "variables": {"id": job.id}})
    assert query.headers["content-type"].startswith("application/graphql-response+json")
    assert followed.headers["content-type"].startswith("text/event-stream")
    assert followed.text.count("event: next") == 3
