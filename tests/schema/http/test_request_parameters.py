"""Parameters that are empty, and documents that are named by a hash alone, over every transport."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from schema.http._requests import JSON_TYPE
from schema.http._responses import EVENTS_TYPE, GRAPHQL_TYPE
from tests.clients import Api
from tests.schema.transports import websocket

pytestmark = pytest.mark.anyio

Parameters = dict[str, Any]
TYPENAME = {"query": "{ __typename }"}
PERSISTED = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "5f" * 32}}}
NOT_SUPPORTED = [("PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED")]


async def over_post(url: str, _: Api, parameters: Parameters) -> Any:
    async with httpx.AsyncClient(base_url=url) as client:
        return (await client.post("/graphql", json=parameters)).json()


async def over_get(url: str, _: Api, parameters: Parameters) -> Any:
    written = {
        name: json.dumps(value) if isinstance(value, dict) else value for name, value in parameters.items()
    }
    async with httpx.AsyncClient(base_url=url) as client:
        return (await client.get("/graphql", params=written)).json()  # null is written as nothing


async def over_sse(url: str, _: Api, parameters: Parameters) -> Any:
    async with httpx.AsyncClient(base_url=url, headers={"accept": EVENTS_TYPE}) as client:
        response = await client.post("/graphql", json=parameters)
    assert response.headers["content-type"].startswith(EVENTS_TYPE)
    first, last, end = response.text.split("\n\n")
    assert (last, end) == ("event: complete\ndata: ", "")
    return json.loads(first.removeprefix("event: next\ndata: "))


async def over_websocket(url: str, api: Api, parameters: Parameters) -> Any:
    """The result or the errors of an operation, after which the connection is still open."""
    async with websocket(url, {"authorization": f"Bearer {api.token}"}) as socket:
        message = await _first_message(socket, parameters)
        assert (await _first_message(socket, TYPENAME))["payload"]["data"] == {"__typename": "Query"}
    return message["payload"] if message["type"] == "next" else {"errors": message["payload"]}


async def _first_message(socket: Any, parameters: Parameters) -> dict[str, Any]:
    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": parameters}))
    message: dict[str, Any] = json.loads(await socket.recv())
    if message["type"] == "next":
        assert json.loads(await socket.recv()) == {"id": "1", "type": "complete"}
    return message


Transport = Callable[[str, Api, Parameters], Awaitable[Any]]
TRANSPORTS = pytest.mark.parametrize("send", [over_post, over_get, over_sse, over_websocket])


@TRANSPORTS
@pytest.mark.parametrize(
    "parameters",
    [{name: value} for name in ("operationName", "variables", "extensions") for value in ("", None)]
    + [{"query": "\ufeff{ __typename }"}, {"variables": {}, "extensions": {}}, PERSISTED],
    ids=str,
)
async def test_an_empty_parameter_is_as_good_as_none(
    api: Api, live: str, send: Transport, parameters: Parameters
) -> None:
    result = await send(live, api, TYPENAME | parameters)
    assert (result.get("data"), result.get("errors")) == ({"__typename": "Query"}, None)


@TRANSPORTS
@pytest.mark.parametrize("text", [{}, {"query": None}, {"query": ""}], ids=str)
async def test_a_persisted_query_without_its_text_is_not_supported(
    api: Api, live: str, send: Transport, text: Parameters
) -> None:
    result = await send(live, api, {"operationName": "Me", "variables": {}} | PERSISTED | text)
    assert list(result) == ["errors"]
    assert [(error["message"], error["extensions"]["code"]) for error in result["errors"]] == NOT_SUPPORTED
    assert [error["extensions"]["requestId"] != "" for error in result["errors"]] == [True]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("accept", "status", "media_type"),
    [
        ("*/*", 200, JSON_TYPE),
        (JSON_TYPE, 200, JSON_TYPE),
        (f"{GRAPHQL_TYPE}, {JSON_TYPE};q=0.9", 200, JSON_TYPE),
        (f"{GRAPHQL_TYPE}, application/graphql+json, {JSON_TYPE}, {EVENTS_TYPE}", 200, JSON_TYPE),
        (GRAPHQL_TYPE, 400, GRAPHQL_TYPE),
    ],
)
async def test_its_status_is_200_where_plain_json_is_accepted(
    anonymous: httpx.AsyncClient, method: str, accept: str, status: int, media_type: str
) -> None:
    parameters: Parameters = {"params": {"extensions": json.dumps(PERSISTED["extensions"])}}
    sent = parameters if method == "GET" else {"json": PERSISTED}
    response = await anonymous.request(method, "/graphql", headers={"accept": accept}, **sent)
    assert (response.status_code, response.headers["content-type"]) == (
        status,
        f"{media_type}; charset=utf-8",
    )
    assert response.headers["cache-control"] == "no-store"
