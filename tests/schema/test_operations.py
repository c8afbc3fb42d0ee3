"""How operations are answered as such: syntax, names, faults, over each transport."""

import json
from typing import Any

import httpx
import pytest

from domain.services import Services
from tests.clients import Api
from tests.schema.test_jobs import websocket

pytestmark = pytest.mark.anyio


async def test_a_syntax_error_has_a_code_and_the_requests_id(anonymous: httpx.AsyncClient) -> None:
    reply = await anonymous.post("/graphql", json={"query": "{"}, headers={"x-request-id": "r-1"})
    (error,) = reply.json()["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "requestId": "r-1"}
    assert error["message"].startswith("Syntax Error")


async def test_a_syntax_error_ends_an_event_stream_with_an_error(live: str, api: Api) -> None:
    headers = {"authorization": f"Bearer {api.token}", "accept": "text/event-stream"}
    async with httpx.AsyncClient(base_url=live, headers=headers) as rest:
        reply = await rest.post("/graphql", json={"query": "{"})
    data = next(line for line in reply.text.splitlines() if line.startswith("data: {"))
    assert json.loads(data.removeprefix("data: "))["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_syntax_error_is_said_over_a_websocket(live: str, api: Api) -> None:
    async with websocket(live, {"authorization": f"Bearer {api.token}"}) as socket:
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": "{"}}))
        message = json.loads(await socket.recv())
    assert message["type"] in {"error", "next"}
    assert "Syntax Error" in json.dumps(message["payload"])


async def test_a_subscription_over_plain_http_says_how_to_subscribe(api: Api) -> None:
    body = await api.raw('subscription { jobEvents(jobId: "job_x") { cursor } }')
    assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert "text/event-stream" in body["errors"][0]["message"]


async def test_of_several_operations_one_must_be_named(api: Api) -> None:
    document = "query A { viewer { id } } query B { health { version } }"
    body = await api.raw(document)
    assert "Must provide operation name" in body["errors"][0]["message"]
    reply = await api.rest.post("/graphql", json={"query": document, "operationName": "A"})
    assert reply.json()["data"] == {"viewer": {"id": api.user_id}}


@pytest.mark.parametrize("body", [b"not json", b'"text"', b"[]", b"[" * 100_000, b"null", b'{"query": 1}'])
async def test_a_body_that_is_no_request_is_a_json_error(anonymous: httpx.AsyncClient, body: bytes) -> None:
    reply = await anonymous.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400
    assert reply.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(anonymous: httpx.AsyncClient) -> None:
    reply = await anonymous.post("/graphql", json={"query": "#" * 300_000})
    assert reply.status_code == 413


async def test_a_fault_is_masked_and_logged(
    api: Api, services: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_path: str, *_rest: Any) -> None:
        raise RuntimeError("the inside of Luthier")

    monkeypatch.setattr(type(services.tokens), "ticket", broken)
    body = await api.raw('{ ticket(path: "/api/x") { ticket } }')
    assert body["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "the inside" not in json.dumps(body)
    assert "the inside of Luthier" in caplog.text
