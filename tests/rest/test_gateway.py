import asyncio
import json
import logging
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest
from openai import APIError, APIStatusError, BadRequestError
from starlette.types import Receive, Send

from domain.errors import DomainError, Invalid, LimitExceeded, Unavailable
from domain.ports.model_runtime import Upstream
from tests.rest.gateway_fakes import (
    CHAT,
    CHAT_REQUEST,
    COUNTED,
    DONE,
    MODEL,
    PROJECT,
    SECRET,
    STREAM,
    GatewaySetup,
    event,
    gateway_setup,
    start,
    stream,
    text_event,
    whole,
)

pytestmark = pytest.mark.anyio

UNKNOWN_KEY = {
    "error": {
        "message": "The API key is not one of this project's.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
}


def named(raw: bytes) -> bytes:
    """What a model server sent, with the name that the client gave the model."""
    return raw.replace(b'"model": "m"', b'"model": "%s"' % MODEL.encode())


@pytest.fixture
async def gateway() -> AsyncIterator[GatewaySetup]:
    async with gateway_setup() as gateway:
        yield gateway


async def test_the_openai_client_gets_a_response_and_it_is_logged(gateway: GatewaySetup) -> None:
    response = await gateway.openai.chat.completions.create(**CHAT_REQUEST)

    assert response.choices[0].message.content == "Hello."
    log = await gateway.log_writer.next()
    assert (log.deployment_id, log.api_key_id) == ("dep_1", "key_1")
    assert (log.input, log.messages, log.output) == ("Hello?", CHAT_REQUEST["messages"], "Hello.")
    assert (log.status, log.finish, log.error, log.streamed) == (200, "stop", None, False)
    assert (log.prompt_tokens, log.completion_tokens) == (5, 2)
    assert (log.endpoint, log.time_to_first_token_ms) == ("chat/completions", None)
    assert 0 < log.latency_ms < 5000


async def test_the_response_is_passed_on_unchanged_and_names_its_row(gateway: GatewaySetup) -> None:
    raw = b'{ "choices":[],  "x_unknown": 1.50}\n'
    gateway.model.respond = whole(200, raw)

    response = await gateway.send()

    assert (response.status_code, response.content) == (200, raw)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == (await gateway.log_writer.next()).id


async def test_the_model_server_gets_its_own_name_and_key_and_all_else_as_it_was(
    gateway: GatewaySetup,
) -> None:
    await gateway.send(temperature=0.25, x_unknown={"kept": [1, None]}, api_base="http://elsewhere")

    [(path, headers, body)] = gateway.model.requests
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer model-key"
    assert SECRET not in str(headers)
    changes = {"model": "finetune_1", "temperature": 0.25, "x_unknown": {"kept": [1, None]}}
    assert body == CHAT_REQUEST | changes | {"api_base": "http://elsewhere"}


async def test_a_stream_reaches_the_openai_client_without_the_counts_that_the_log_gets(
    gateway: GatewaySetup,
) -> None:
    gateway.model.respond = stream(STREAM)

    chunks = [
        chunk async for chunk in await gateway.openai.chat.completions.create(**CHAT_REQUEST, stream=True)
    ]

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello."
    log = await gateway.log_writer.next()
    assert (log.output, log.finish, log.streamed) == ("Hello.", "stop", True)
    assert (log.prompt_tokens, log.completion_tokens) == (5, 2)
    assert log.time_to_first_token_ms is not None
    assert 0 < log.time_to_first_token_ms <= log.latency_ms
    assert gateway.model.requests[0][2]["stream_options"] == {"include_usage": True}


async def test_who_asks_for_the_counts_gets_them(gateway: GatewaySetup) -> None:
    gateway.model.respond = stream(STREAM)

    streamed = await gateway.openai.chat.completions.create(
        **CHAT_REQUEST, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in streamed]

    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 7


@pytest.mark.parametrize("size", [1, 7, 100, 100_000])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
async def test_however_a_stream_is_cut_its_bytes_stay_but_for_the_counts(
    gateway: GatewaySetup, size: int, newline: bytes
) -> None:
    pieces = [
        b": ping\n\n",
        *STREAM[:3],
        event({"odd": [1]}),
        b"data: not json\n\n",
        COUNTED,
        DONE,
        b"data: rest",
    ]
    whole_stream = b"".join(pieces).replace(b"\n", newline)
    gateway.model.respond = stream([whole_stream[at : at + size] for at in range(0, len(whole_stream), size)])

    response = await gateway.send(stream=True)

    assert response.content == named(whole_stream.replace(COUNTED.replace(b"\n", newline), b""))
    assert response.headers["content-type"].startswith("text/event-stream")
    assert (await gateway.log_writer.next()).completion_tokens == 2


async def test_bare_prompts_are_completed_too_and_v1_may_be_left_out(gateway: GatewaySetup) -> None:
    gateway.model.respond = whole(
        200, {"choices": [{"text": " Paris", "index": 0, "finish_reason": "length"}]}
    )

    response = await gateway.client.post(
        gateway.url.removesuffix("/v1") + "/completions",
        json={"model": MODEL, "prompt": "The capital is"},
        headers={"authorization": f"Bearer {SECRET}"},
    )

    assert response.json()["choices"][0]["text"] == " Paris"
    assert gateway.model.requests[0][0] == "/v1/completions"
    log = await gateway.log_writer.next()
    assert (log.endpoint, log.input, log.messages, log.output, log.finish) == (
        "completions",
        "The capital is",
        None,
        " Paris",
        "length",
    )


async def test_the_models_of_a_key_are_listed(gateway: GatewaySetup) -> None:
    assert [model.id async for model in gateway.openai.models.list()] == [MODEL]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/chat/completions", 405), ("POST", "/models", 405), ("POST", "/embeddings", 404)],
)
async def test_what_is_not_served_is_refused_in_the_protocol(
    gateway: GatewaySetup, method: str, path: str, status: int
) -> None:
    response = await gateway.client.request(method, gateway.url + path)

    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(("project", "secret"), [(PROJECT, "lk_wrong"), ("prj_2", SECRET), ("x", "y")])
async def test_every_wrong_key_has_the_same_response_and_no_row(
    gateway: GatewaySetup, project: str, secret: str
) -> None:
    url = gateway.url.replace(PROJECT, project) + "/chat/completions"

    response = await gateway.client.post(
        url, content=b"not even json", headers={"authorization": f"Bearer {secret}"}
    )

    assert (response.status_code, response.json()) == (401, UNKNOWN_KEY)
    assert response.headers["x-request-id"].startswith("log_")
    assert gateway.log_writer.is_empty


async def test_a_request_without_a_key_is_401(gateway: GatewaySetup) -> None:
    response = await gateway.client.post(f"{gateway.url}/chat/completions", json=CHAT_REQUEST)

    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("model", ["llama_other_v1", "", None, 7])
async def test_a_model_that_is_not_the_keys_is_404(gateway: GatewaySetup, model: object) -> None:
    response = await gateway.send(model=model)

    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")


@pytest.mark.parametrize("body", [b"{", b"[]", b"3", b"", b'{"model": NaN}', b"\xff"])
async def test_a_body_that_is_no_json_object_is_400(gateway: GatewaySetup, body: bytes) -> None:
    response = await gateway.send(body)

    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_of_more_than_two_mebibytes_is_413(gateway: GatewaySetup, declared: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * (1 << 20)

    content: Any = b" " * (3 << 20) if declared else pieces()
    headers = {"authorization": f"Bearer {SECRET}"}
    response = await gateway.client.post(f"{gateway.url}/chat/completions", content=content, headers=headers)

    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
    assert gateway.model.requests == []


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (Unavailable("The key cannot be checked now."), 503, "unavailable"),
        (LimitExceeded("Too many.", context={"retryAfter": 9}), 429, "rate_limit_exceeded"),
    ],
)
async def test_an_unavailable_key_table_is_not_a_wrong_key(
    gateway: GatewaySetup, refusal: DomainError, status: int, code: str
) -> None:
    gateway.key_table.refusal = refusal

    response = await gateway.send()

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.headers["retry-after"] == ("9" if status == 429 else "1")


async def test_a_model_that_cannot_be_loaded_is_a_sentence_and_a_row(gateway: GatewaySetup) -> None:
    gateway.runtime.refusal = Invalid("The model file is damaged.")

    response = await gateway.send()

    assert (response.status_code, response.json()["error"]["message"]) == (502, "The model file is damaged.")
    log = await gateway.log_writer.next()
    assert (log.status, log.error, log.finish) == (502, "The model file is damaged.", "error")


TOO_LONG = {
    "code": 400,
    "message": "request (6054 tokens) exceeds the available context size (512 tokens)",
    "type": "exceed_context_size_error",
}


@pytest.mark.parametrize(
    "first", [event({"error": TOO_LONG}), b"error: " + json.dumps(TOO_LONG).encode() + b"\n\n"]
)
async def test_an_error_as_the_first_event_of_a_stream_is_an_error_status(
    gateway: GatewaySetup, first: bytes
) -> None:
    gateway.model.respond = stream([first])

    with pytest.raises(BadRequestError) as caught:
        await gateway.openai.chat.completions.create(**CHAT_REQUEST, stream=True)

    assert caught.value.code == "context_length_exceeded"
    log = await gateway.log_writer.next()
    assert (log.status, log.error) == (400, TOO_LONG["message"])


@pytest.mark.parametrize(
    ("status", "body", "expected_status", "code"),
    [
        (400, {"error": TOO_LONG}, 400, "context_length_exceeded"),
        (400, {"error": {"message": "bad", "type": "t", "param": "p", "code": 400}}, 400, None),
        (400, {"object": "error", "message": "bad", "code": 400}, 400, None),
        (400, {"error": "bad"}, 400, None),
        (422, {"detail": [{"msg": "bad"}]}, 422, None),
        (429, {"error": {"message": "slow"}}, 429, "rate_limit_exceeded"),
        (500, b"<html>", 500, None),
        (503, {"error": {"message": "Loading model", "code": 503}}, 503, "unavailable"),
    ],
)
async def test_an_error_of_a_model_server_is_sent_in_the_protocol(
    gateway: GatewaySetup, status: int, body: object, expected_status: int, code: str | None
) -> None:
    gateway.model.respond = whole(status, body, {"retry-after": "7"})

    response = await gateway.send()

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (expected_status, code)
    assert set(error) == {"message", "type", "param", "code"}
    assert response.headers.get("x-should-retry") == ("false" if status == 500 else None)
    assert response.headers.get("retry-after") == (None if code == "context_length_exceeded" else "7")
    assert (await gateway.log_writer.next()).status == expected_status


async def unreachable() -> Upstream:
    """An address on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return Upstream(base_url=f"http://127.0.0.1:{closed.getsockname()[1]}/v1", model="m")


async def test_the_address_of_a_model_that_moved_is_requested_once_more(gateway: GatewaySetup) -> None:
    gateway.runtime.upstreams.insert(0, await unreachable())

    response = await gateway.send()

    assert (response.status_code, gateway.runtime.invalidated) == (200, ["finetune_1"])
    assert (await gateway.log_writer.next()).status == 200


@pytest.mark.parametrize("status", [401, 404])
async def test_the_address_is_requested_once_more_where_another_model_has_it(
    gateway: GatewaySetup, status: int
) -> None:
    async def refuse_once(receive: Receive, send: Send) -> None:
        gateway.model.respond = whole(200, CHAT)
        await whole(status, {"error": {"message": "Invalid API Key"}})(receive, send)

    gateway.model.respond = refuse_once

    response = await gateway.send()

    assert (response.status_code, gateway.runtime.invalidated) == (200, ["finetune_1"])


@pytest.mark.parametrize(("status", "expected_status"), [(401, 502), (404, 404)])
async def test_a_model_server_that_keeps_refusing_is_not_asked_a_third_time(
    gateway: GatewaySetup, status: int, expected_status: int
) -> None:
    gateway.model.respond = whole(status, {"error": {"message": "no"}})

    response = await gateway.send()

    assert (response.status_code, len(gateway.model.requests)) == (expected_status, 2)
    assert (await gateway.log_writer.next()).status == expected_status


async def test_a_model_server_that_is_down_is_502(gateway: GatewaySetup) -> None:
    gateway.runtime.upstreams = [await unreachable()]

    with pytest.raises(APIStatusError) as caught:
        await gateway.openai.chat.completions.create(**CHAT_REQUEST)

    assert (caught.value.status_code, caught.value.code) == (502, "upstream_down")
    log = await gateway.log_writer.next()
    assert (log.status, log.error) == (502, "The model server does not answer.")


async def test_a_connection_is_used_again(gateway: GatewaySetup) -> None:
    respond = {True: stream(STREAM), False: whole(200, CHAT)}
    for is_streamed in (False, True, True, False):
        gateway.model.respond = respond[is_streamed]
        await gateway.send(stream=is_streamed)

    assert len(set(gateway.model.connections)) == 1


async def closing_server(responses: int) -> tuple[asyncio.Server, list[int]]:
    """A model server that closes each connection, without notice, where it would read one request more.

    The list has how many requests each connection brought.
    """
    counts: list[int] = []
    body = json.dumps(CHAT).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(counts)
        counts.append(0)
        with suppress(asyncio.IncompleteReadError):  # the gateway closes the last one
            while counts[number] <= responses:
                request = await reader.readuntil(b"\r\n\r\n")
                counts[number] += 1
                if counts[number] <= responses:
                    length = re.search(rb"content-length: (\d+)", request, re.IGNORECASE)
                    assert length
                    await reader.readexactly(int(length[1]))
                    writer.write(head + body)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0), counts


async def test_a_request_on_a_connection_that_the_server_has_closed_is_sent_on_a_new_one(
    gateway: GatewaySetup,
) -> None:
    server, counts = await closing_server(responses=1)
    address = server.sockets[0].getsockname()
    gateway.runtime.upstreams = [Upstream(base_url=f"http://127.0.0.1:{address[1]}/v1", model="m")]

    statuses = [(await gateway.send()).status_code for _ in range(3)]

    assert (statuses, counts) == ([200, 200, 200], [2, 2, 1])
    server.close()


async def test_a_request_that_a_new_connection_does_not_answer_is_sent_once(gateway: GatewaySetup) -> None:
    server, counts = await closing_server(responses=0)
    address = server.sockets[0].getsockname()
    gateway.runtime.upstreams = [Upstream(base_url=f"http://127.0.0.1:{address[1]}/v1", model="m")]

    response = await gateway.send()

    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_broke_off")
    assert counts == [1]
    server.close()


async def test_a_response_that_breaks_off_is_502_and_not_to_be_tried_again(gateway: GatewaySetup) -> None:
    async def break_off(_: Receive, send: Send) -> None:
        await start(send, 200, {"content-type": "application/json", "content-length": "100"})
        await send({"type": "http.response.body", "body": b'{"choices"', "more_body": True})

    gateway.model.respond = break_off

    response = await gateway.send()

    assert (response.status_code, response.headers["x-should-retry"]) == (502, "false")
    assert (await gateway.log_writer.next()).finish == "error"


async def test_a_stream_that_breaks_off_ends_with_an_error_and_not_as_if_whole(gateway: GatewaySetup) -> None:
    gateway.model.respond = stream([text_event("Hel")], breaks_off=True)
    chunks = await gateway.openai.chat.completions.create(**CHAT_REQUEST, stream=True)

    assert (await anext(chunks)).choices[0].delta.content == "Hel"
    with pytest.raises(APIError, match="broke off"):
        await anext(chunks)
    log = await gateway.log_writer.next()
    assert (log.status, log.output, log.finish) == (200, "Hel", "error")
    assert log.error == "The model server broke off."


async def test_the_body_of_a_stream_that_broke_off_is_cut(gateway: GatewaySetup) -> None:
    gateway.model.respond = stream([text_event("Hel")], breaks_off=True)

    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        await gateway.send(stream=True)


async def test_an_error_of_the_model_amid_a_stream_is_passed_on_logged_and_cut(gateway: GatewaySetup) -> None:
    boom, received_first = event({"error": {"message": "boom"}}), asyncio.Event()

    async def fail_late(_: Receive, send: Send) -> None:
        await start(send, 200, {"content-type": "text/event-stream"})
        await send({"type": "http.response.body", "body": text_event("Hel"), "more_body": True})
        await received_first.wait()
        await send({"type": "http.response.body", "body": boom})

    gateway.model.respond = fail_late
    async with gateway.stream() as response:
        pieces = response.aiter_raw()
        assert await anext(pieces) == named(text_event("Hel"))
        received_first.set()
        assert json.loads((await anext(pieces)).removeprefix(b"data: ")) == {
            "error": {"message": "boom", "type": "server_error", "param": None, "code": None}
        }
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            await anext(pieces)

    log = await gateway.log_writer.next()
    assert (log.status, log.error, log.output, log.finish) == (200, "boom", "Hel", "error")


async def test_a_stream_without_an_event_is_502(gateway: GatewaySetup) -> None:
    gateway.model.respond = stream([])

    assert (await gateway.send(stream=True)).status_code == 502


class EndlessResponse:
    """A response without an end, and events for its start and the client's disconnect."""

    def __init__(self, first: bytes) -> None:
        self.first = first
        self.started = asyncio.Event()
        self.disconnected = asyncio.Event()

    async def __call__(self, receive: Receive, send: Send) -> None:
        if self.first:
            await start(send, 200, {"content-type": "text/event-stream"})
            await send({"type": "http.response.body", "body": self.first, "more_body": True})
        self.started.set()
        assert (await receive())["type"] == "http.disconnect"
        self.disconnected.set()


async def test_a_client_that_leaves_a_stream_ends_the_generation_within_a_second(
    gateway: GatewaySetup,
) -> None:
    gateway.model.respond = endless = EndlessResponse(text_event("Hel"))

    async with gateway.stream() as response:
        assert await anext(response.aiter_bytes()) == named(text_event("Hel"))

    await asyncio.wait_for(endless.disconnected.wait(), 1)
    log = await gateway.log_writer.next()
    assert (log.status, log.output, log.finish) == (200, "Hel", "client_disconnect")


async def test_a_client_that_does_not_wait_for_its_response_ends_the_generation_too(
    gateway: GatewaySetup,
) -> None:
    gateway.model.respond = endless = EndlessResponse(b"")
    request = asyncio.create_task(gateway.send())
    await endless.started.wait()

    request.cancel()

    await asyncio.wait_for(endless.disconnected.wait(), 1)
    log = await gateway.log_writer.next()
    assert (log.status, log.output, log.finish) == (499, None, "client_disconnect")


async def test_a_client_that_does_not_read_holds_the_model_back(gateway: GatewaySetup) -> None:
    piece, sent, finished = text_event("x" * 65_000), [], asyncio.Event()

    async def pour(_: Receive, send: Send) -> None:
        await start(send, 200, {"content-type": "text/event-stream"})
        for number in range(1000):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent.append(number)
        await send({"type": "http.response.body"})
        finished.set()

    gateway.model.respond = pour
    async with gateway.stream() as response:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(finished.wait(), 0.3)
        held_at = len(sent)
        received = sum([len(chunk) async for chunk in response.aiter_raw()])

    assert held_at < 400
    assert received == len(named(piece)) * 1000
    output = (await gateway.log_writer.next()).output
    assert output is not None
    assert len(output) == 1 << 20


async def test_an_error_of_our_own_is_masked_and_logged(
    gateway: GatewaySetup, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> Upstream:
        raise KeyError("internals")

    monkeypatch.setattr(gateway.runtime, "upstream", fail)

    with caplog.at_level(logging.ERROR, logger="rest.gateway._gateway"):
        response = await gateway.send()

    assert response.status_code == 500
    assert "internals" not in response.text
    log = await gateway.log_writer.next()
    assert (log.status, log.id) == (500, response.headers["x-request-id"])
    assert log.id in caplog.text


async def test_many_requests_at_once_keep_to_themselves(gateway: GatewaySetup) -> None:
    async def echo(_: Receive, send: Send) -> None:
        content = gateway.model.requests[-1][2]["messages"][0]["content"]
        await whole(200, {"choices": [{"message": {"content": content}}]})(_, send)

    gateway.model.respond = echo
    words = [f"word {number}" for number in range(50)]

    responses = await asyncio.gather(
        *(gateway.send(messages=[{"role": "user", "content": word}]) for word in words)
    )

    assert [response.json()["choices"][0]["message"]["content"] for response in responses] == words
    logs = {log.input: log for log in [await gateway.log_writer.next() for _ in words]}
    assert {word: logs[word].output for word in words} == {word: word for word in words}
    assert {log.id for log in logs.values()} == {response.headers["x-request-id"] for response in responses}


async def test_a_model_server_without_a_key_is_sent_none(gateway: GatewaySetup) -> None:
    gateway.runtime.upstreams = [replace(gateway.upstream, api_key=None)]

    await gateway.send()

    assert "authorization" not in gateway.model.requests[0][1]
