"""The token of a WebSocket: where it may stand, what comes first, and what a refused client reads."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from schema.http._connection_init import refusal_reason
from schema.http._websocket import MAX_REASON_BYTES
from tests.clients import Api
from tests.schema.transports import websocket

pytestmark = pytest.mark.anyio

TOKEN = "Bearer {token}"


def filled(value: Any, token: str) -> Any:
    """The value with this token in its texts."""
    if isinstance(value, Mapping):
        return {name: filled(inner, token) for name, inner in value.items()}
    return value.format(token=token) if isinstance(value, str) else value


@pytest.mark.parametrize(
    "payload",
    [
        {"authorization": TOKEN},
        {"Authorization": TOKEN},
        {"AUTHORIZATION": "bearer {token}"},
        {"headers": {"authorization": TOKEN}},
        {"headers": {"Authorization": TOKEN}},
        {"Headers": {"AUTHORIZATION": TOKEN}},
        {"Authorization": None, "headers": {"Authorization": TOKEN}},
        {"authorization": " ", "headers": {"authorization": "", "Authorization": TOKEN}},
        {"authorization": ["Bearer other"], "headers": {"Authorization": TOKEN}},
        {"headers": {"Authorization": "Bearer other"}, "Authorization": TOKEN},
        {"Authorization": "Bearer other", "authorization": TOKEN},
    ],
    ids=str,
)
async def test_the_token_of_connection_init_is_found(api: Api, live: str, payload: dict[str, Any]) -> None:
    async with websocket(live, filled(payload, api.token)):
        pass  # acknowledged


@pytest.mark.parametrize(
    ("payload", "message_part"),
    [
        ({}, '{"authorization": "Bearer TOKEN"}'),
        ({"authToken": "{token}", "headers": None}, '{"authorization": "Bearer TOKEN"}'),
        ({"headers": {"headers": {"authorization": TOKEN}}}, '{"authorization": "Bearer TOKEN"}'),
        ({"authorization": "{token}"}, "write Bearer before"),
        ({"Authorization": "Basic {token}"}, "write Bearer before"),
        ({"authorization": "Bearer other"}, "not valid"),
        ({"authorization": "Bearer other", "headers": {"authorization": TOKEN}}, "not valid"),
    ],
    ids=str,
)
async def test_a_connection_without_a_valid_token_is_closed_with_what_is_expected(
    api: Api, live: str, payload: dict[str, Any], message_part: str
) -> None:
    with pytest.raises(ConnectionClosed) as closed:
        async with websocket(live, filled(payload, api.token)):
            pass
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, message_part in closed.value.rcvd.reason) == (4403, True), closed.value
    assert closed.value.rcvd.reason.endswith("."), "cut off"


async def test_a_valid_token_in_the_header_comes_before_that_of_connection_init(api: Api, live: str) -> None:
    for header, viewer_id in ((api.token, api.user_id), ("other", api.other.user_id)):
        headers = {"authorization": f"Bearer {header}"}
        payload = {"authorization": f"Bearer {api.other.token}"}
        async with websocket(live, payload, additional_headers=headers) as socket:
            query = {"query": "{ viewer { id } }"}
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": query}))
            result = json.loads(await socket.recv())["payload"]
            assert result["data"] == {"viewer": {"id": viewer_id}}


@pytest.mark.parametrize("authorization", [None, "token", "Bearer token"])
def test_a_reason_fits_into_a_close_frame(authorization: str | None) -> None:
    assert len(refusal_reason(authorization).encode()) <= MAX_REASON_BYTES
