"""Which requests are refused, each with its status, code and parameter, and what becomes of those that are sent."""

import codecs
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from time import process_time
from typing import Any

import httpx
import pytest
from openai import UnprocessableEntityError
from starlette.types import Receive, Send

from domain.deployments import ModelCapability
from domain.errors import Unavailable
from domain.ports.model_runtime import NO_PLACE, Upstream
from rest.gateway._bodies import upstream_bodies
from rest.gateway._requests import GatewayRequest
from tests.rest.gateway_bodies import AUDIO, CALL, CALLED, IMAGE, REQUIRED, SCHEMA, TOOL, USER, parts
from tests.rest.gateway_fakes import (
    CHAT,
    CHAT_REQUEST,
    MODEL,
    SECRET,
    GatewaySetup,
    event,
    gateway_setup,
    stream,
    text_event,
    whole,
)

pytestmark = pytest.mark.anyio

THEIRS = Upstream(base_url="http://127.0.0.1/v1", model="theirs")
WRONG_NAMES: list[object] = [[], {}, None, 5]
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"messages": []}, "invalid_value", "messages"),
    ({"messages": None}, "invalid_value", "messages"),
    ({"messages": "Hello?"}, "invalid_value", "messages"),
    ({"messages": ["Hello?"]}, "invalid_value", "messages[0]"),
    ({"messages": [{"role": "wizard", "content": "a"}]}, "invalid_value", "messages[0].role"),
    ({"messages": [{"content": "a"}]}, "invalid_value", "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "invalid_value", "messages[0].content"),
    ({"messages": [{"role": "user", "content": None}]}, "invalid_value", "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "invalid_value", "messages[0].content"),
    (parts({"type": "text"}), "invalid_value", "messages[0].content[0].text"),
    (parts({"type": "poem", "text": "a"}), "invalid_value", "messages[0].content[0].type"),
    (parts("a"), "invalid_value", "messages[0].content[0]"),
    (parts({"type": "text", "text": "a"}, IMAGE), "unsupported_parameter", "messages[0].content[1]"),
    (parts(AUDIO), "unsupported_parameter", "messages[0].content[0]"),
    (parts({"type": "file", "file": {"file_id": "f"}}), "unsupported_parameter", "messages[0].content[0]"),
    ({"messages": [USER, {**CALLED, "tool_calls": "x"}]}, "invalid_value", "messages[1].tool_calls"),
    (
        {"messages": [USER, {**CALLED, "tool_calls": [{"function": {}}]}]},
        "invalid_value",
        "messages[1].tool_calls[0].type",
    ),
    ({"temperature": 5}, "invalid_value", "temperature"),
    ({"temperature": -0.1}, "invalid_value", "temperature"),
    ({"temperature": "1"}, "invalid_value", "temperature"),
    ({"temperature": True}, "invalid_value", "temperature"),
    ({"top_p": 1.5}, "invalid_value", "top_p"),
    ({"presence_penalty": 3}, "invalid_value", "presence_penalty"),
    ({"frequency_penalty": -3}, "invalid_value", "frequency_penalty"),
    ({"stop": list("abcdef")}, "invalid_value", "stop"),
    ({"stop": [1]}, "invalid_value", "stop[0]"),
    ({"stop": ""}, "invalid_value", "stop[0]"),
    ({"max_tokens": 0}, "invalid_value", "max_tokens"),
    ({"max_tokens": -1}, "invalid_value", "max_tokens"),
    ({"max_tokens": 10**12}, "invalid_value", "max_tokens"),
    ({"max_tokens": 3.5}, "invalid_value", "max_tokens"),
    ({"max_completion_tokens": 0}, "invalid_value", "max_completion_tokens"),
    ({"n": 0}, "invalid_value", "n"),
    ({"n": 9}, "invalid_value", "n"),
    ({"n": "2"}, "invalid_value", "n"),
    ({"seed": "x"}, "invalid_value", "seed"),
    ({"seed": 2**63}, "invalid_value", "seed"),
    ({"stream": "true"}, "invalid_value", "stream"),
    ({"stream_options": "x"}, "invalid_value", "stream_options"),
    ({"logprobs": "x"}, "invalid_value", "logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "invalid_value", "top_logprobs"),
    ({"top_logprobs": 2}, "invalid_value", "top_logprobs"),
    ({"logit_bias": [[5, 1.0]]}, "invalid_value", "logit_bias"),
    ({"logit_bias": {"x": 1}}, "invalid_value", "logit_bias"),
    ({"logit_bias": {"5": 101}}, "invalid_value", "logit_bias.5"),
    ({"tools": "x"}, "invalid_value", "tools"),
    ({"tools": [1]}, "invalid_value", "tools[0]"),
    ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "invalid_value", "tools[0].type"),
    ({"tools": [{"type": "function", "function": {}}]}, "invalid_value", "tools[0].function.name"),
    ({"tools": [TOOL], "tool_choice": "maybe"}, "invalid_value", "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "invalid_value", "tool_choice"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}},
        "invalid_value",
        "tool_choice",
    ),
    *(
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": wrong}}},
            "invalid_value",
            "tool_choice",
        )
        for wrong in WRONG_NAMES
    ),
    ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
    ({"response_format": "json"}, "invalid_value", "response_format"),
    ({"response_format": {"type": "yaml"}}, "invalid_value", "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "invalid_value", "response_format"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": "x"}}},
        "invalid_value",
        "response_format.json_schema.schema",
    ),
    ({"functions": [{"name": "f"}]}, "unsupported_parameter", "functions"),
    ({"function_call": "auto"}, "unsupported_parameter", "function_call"),
    ({"modalities": ["text", "audio"]}, "unsupported_parameter", "modalities"),
    ({"messages": [USER] * 2_049}, "invalid_value", "messages"),
    (parts(*[{"type": "text", "text": "a"}] * 2_049), "invalid_value", "messages[0].content"),
    ({"logit_bias": {str(token): 1 for token in range(10_001)}}, "invalid_value", "logit_bias"),
    ({"audio": {"voice": "a", "format": "wav"}}, "unsupported_parameter", "audio"),
    ({"web_search_options": {"x": 1}}, "unsupported_parameter", "web_search_options"),
]
"""Bodies of chat completions that are refused with 400, each with the code and the parameter."""
REFUSED_COMPLETIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": None}, "invalid_value", "prompt"),
    ({"prompt": []}, "invalid_value", "prompt"),
    ({"prompt": {"a": 1}}, "invalid_value", "prompt"),
    ({"prompt": ["a", 5]}, "invalid_value", "prompt"),
    ({"prompt": [[1], []]}, "invalid_value", "prompt"),
    ({"prompt": ["a"] * 33}, "invalid_value", "prompt"),
    ({"logprobs": 6}, "invalid_value", "logprobs"),
    ({"logprobs": True}, "invalid_value", "logprobs"),
    ({"echo": "x"}, "invalid_value", "echo"),
    ({"echo": True, "logprobs": 1}, "unsupported_parameter", "echo"),
    ({"echo": True, "prompt": [1, 2]}, "unsupported_parameter", "echo"),
    ({"best_of": 3}, "unsupported_parameter", "best_of"),
    ({"best_of": 3, "n": 2}, "unsupported_parameter", "best_of"),
    ({"suffix": "the end"}, "unsupported_parameter", "suffix"),
    ({"response_format": {"type": "json_object"}}, "unsupported_parameter", "response_format"),
    ({"tools": [TOOL]}, "unsupported_parameter", "tools"),
    ({"temperature": 5}, "invalid_value", "temperature"),
]


@pytest.fixture
async def gateway() -> AsyncIterator[GatewaySetup]:
    async with gateway_setup() as gateway:
        yield gateway


async def complete(gateway: GatewaySetup, **change: object) -> httpx.Response:
    """The response to a completion of the prompt "One"."""
    return await gateway.client.post(
        f"{gateway.url}/completions",
        json={"model": MODEL, "prompt": "One"} | change,
        headers={"authorization": f"Bearer {SECRET}"},
    )


@pytest.mark.parametrize(("change", "code", "param"), REFUSED, ids=str)
async def test_a_chat_that_is_wrong_is_400_with_its_parameter_and_not_sent(
    gateway: GatewaySetup, change: dict[str, Any], code: str, param: str
) -> None:
    response = await gateway.send(**change)

    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, code, param), error
    assert (error["type"], error["message"][-1]) == ("invalid_request_error", ".")
    assert gateway.model.requests == []
    log = await gateway.log_writer.next()
    assert (log.status, log.error) == (400, error["message"])


@pytest.mark.parametrize(("change", "code", "param"), REFUSED_COMPLETIONS, ids=str)
async def test_a_completion_that_is_wrong_is_400_with_its_parameter_and_not_sent(
    gateway: GatewaySetup, change: dict[str, Any], code: str, param: str
) -> None:
    response = await complete(gateway, **change)

    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, code, param), error
    assert gateway.model.requests == []


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 2, "top_p": 0, "stop": "a", "seed": -1, "logit_bias": {"5": -100}},
        {"temperature": None, "stop": None, "tools": None, "response_format": None, "n": None},
        {"messages": [{"role": "developer", "content": "be brief"}, USER]},
        {"messages": [USER, CALLED, {"role": "tool", "tool_call_id": "1", "content": "r"}]},
        {"messages": [USER, {"role": "assistant", "content": ""}, USER]},
        parts({"type": "text", "text": "a"}, {"type": "text", "text": "b"}),
        {"stop": list("abcd"), "tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
        {"store": True, "metadata": {"a": "b"}, "user": "me", "x_unknown": [None]},
        {"response_format": {"type": "text"}, "reasoning_effort": "low", "modalities": ["text"]},
    ],
    ids=str,
)
async def test_a_chat_that_is_right_is_sent_as_it_is(gateway: GatewaySetup, change: dict[str, Any]) -> None:
    response = await gateway.send(**change)

    assert response.status_code == 200, response.text
    assert gateway.model.requests[0][2] == CHAT_REQUEST | {"model": "finetune_1"} | {
        name: value for name, value in change.items() if name != "n"
    }


NOT_MESSAGES = [
    5,
    "x",
    [5],
    [{"content": 5}],
    [{"role": "user", "content": [5]}],
    [{"role": "tool"}],
    {"a": 1},
]


@pytest.mark.parametrize("messages", NOT_MESSAGES)
async def test_the_messages_of_a_completion_are_passed_on_unread(
    gateway: GatewaySetup, messages: object
) -> None:
    gateway.runtime.upstreams = [replace(gateway.upstream, capabilities=frozenset())]

    assert (await complete(gateway, messages=messages)).status_code == 200

    assert gateway.model.requests[0][2]["messages"] == messages


@pytest.mark.parametrize(
    "change", [{"tools": [1]}, {"tool_choice": {"a": 1}}, {"tools": 5, "tool_choice": []}]
)
async def test_the_tools_of_a_completion_are_left_to_a_model_of_the_model_servers_own(
    gateway: GatewaySetup, change: dict[str, Any]
) -> None:
    gateway.key_table.target = "gpt-4o"

    assert (await complete(gateway, **change)).status_code == 200

    assert change.items() <= gateway.model.requests[0][2].items()


LARGE = (2 << 20) - 200
"""Bytes that fill a body nearly."""
WRONG = [
    '"messages": [%s]',
    '"messages": [{"role": "user", "content": [%s]}]',
    '"messages": [{"role": "assistant", "tool_calls": [%s]}]',
    '"messages": [{"role": "user", "content": "a"}], "modalities": [%s]',
]


@pytest.mark.parametrize("body", WRONG)
async def test_a_body_that_is_wrong_in_a_million_places_is_refused_at_the_first(
    gateway: GatewaySetup, body: str
) -> None:
    raw = f'{{"model": "{MODEL}", {body % ",".join("0" * (LARGE // 2))}}}'.encode()
    started = process_time()

    response = await gateway.send(raw)

    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_value")
    assert process_time() - started < 1  # all errors take 3 to 7 s, and 1.5 GiB


@pytest.mark.parametrize("depth", [250, 1000, 100_000])
@pytest.mark.parametrize("name", ["messages", "x"])
async def test_a_body_that_is_nested_too_deeply_is_400(gateway: GatewaySetup, depth: int, name: str) -> None:
    raw = json.dumps(CHAT_REQUEST | {name: "DEEP"}).replace('"DEEP"', "[" * depth + "]" * depth)

    response = await gateway.send(raw.encode())

    assert response.status_code == (200 if (depth, name) == (250, "x") else 400)


def test_the_bodies_of_many_choices_are_not_held_at_once() -> None:
    body = {"prompt": ["a"] * 32, "n": 8, "x": "a" * LARGE}
    tracemalloc.start()
    try:
        bodies = upstream_bodies(GatewayRequest("completions", body), THEIRS)
        sizes = [len(body.encode()) for body in bodies]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (len(sizes), min(sizes) > LARGE) == (256, True)
    assert peak < 32 * LARGE  # orjson's own buffer is several times the text


async def test_images_are_left_to_a_model_of_the_model_servers_own(gateway: GatewaySetup) -> None:
    gateway.key_table.target = "llava"

    assert (await gateway.send(**parts(IMAGE))).status_code == 200


async def test_a_null_in_a_tool_is_left_out(gateway: GatewaySetup) -> None:
    function = {"name": "find", "description": None, "parameters": None, "strict": None}
    gateway.model.respond = whole(200, answer(tool_calls=[CALL]))

    await gateway.send(tools=[{"type": "function", "function": function}])

    assert gateway.model.requests[0][2]["tools"] == [{"type": "function", "function": {"name": "find"}}]


async def test_a_named_function_is_required_of_the_model_server_as_the_only_tool(
    gateway: GatewaySetup,
) -> None:
    gateway.model.respond = whole(200, answer(tool_calls=[CALL]))
    other = {"type": "function", "function": {"name": "other"}}
    choice = {"type": "function", "function": {"name": "find"}}

    assert (await gateway.send(tools=[other, TOOL], tool_choice=choice)).status_code == 200

    sent = gateway.model.requests[0][2]
    assert (sent["tools"], sent["tool_choice"]) == ([TOOL], "required")


async def test_a_byte_order_mark_before_the_body_is_ignored(gateway: GatewaySetup) -> None:
    response = await gateway.send(codecs.BOM_UTF8 + json.dumps(CHAT_REQUEST).encode())

    assert response.status_code == 200


async def test_a_compressed_body_is_415(gateway: GatewaySetup) -> None:
    headers = {"authorization": f"Bearer {SECRET}", "content-encoding": "gzip"}
    body = gzip.compress(json.dumps(CHAT_REQUEST).encode())

    response = await gateway.client.post(f"{gateway.url}/chat/completions", content=body, headers=headers)

    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert response.headers["accept-encoding"] == "identity"


# --- tools


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tools": [TOOL]}, "tools"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tools"),
        ({"messages": [USER, CALLED, {"role": "tool", "content": "r", "tool_call_id": "1"}]}, "messages[1]"),
        ({"tools": [TOOL], "tool_choice": "none"}, None),
        ({"tools": []}, None),
        ({}, None),
    ],
    ids=str,
)
async def test_tools_are_refused_where_the_template_cannot_show_them(
    gateway: GatewaySetup, change: dict[str, Any], param: str | None
) -> None:
    gateway.runtime.upstreams = [replace(gateway.upstream, capabilities=frozenset())]

    response = await gateway.send(**change)

    if param is None:
        assert response.status_code == 200
    else:
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (400, "unsupported_parameter")
        assert (error["param"], gateway.model.requests) == (param, [])


@pytest.mark.parametrize("capabilities", [None, frozenset({ModelCapability.TOOLS})])
async def test_tools_are_sent_where_the_template_shows_them_or_is_not_known(
    gateway: GatewaySetup, capabilities: frozenset[ModelCapability] | None
) -> None:
    gateway.runtime.upstreams = [replace(gateway.upstream, capabilities=capabilities)]

    assert (await gateway.send(tools=[TOOL])).status_code == 200


def answer(finish: str = "stop", **message: object) -> dict[str, Any]:
    """A whole response with one choice."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None} | message,
        "finish_reason": finish,
    }
    return CHAT | {"choices": [choice]}


NAMED = {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "find"}}}
OTHER = {"id": "1", "type": "function", "function": {"name": "other", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("change", "given", "is_broken"),
    [
        (REQUIRED, answer(content="I would rather not."), True),
        (REQUIRED, answer(finish="length", content="I would"), True),
        (REQUIRED, answer(), True),
        (REQUIRED, answer(finish="length"), False),
        (REQUIRED, answer(finish="tool_calls", tool_calls=[CALL]), False),
        (NAMED, answer(finish="tool_calls", tool_calls=[OTHER]), True),
        (NAMED, answer(finish="tool_calls", tool_calls=[CALL]), False),
        ({"tools": [TOOL]}, answer(content="I know it."), False),
        ({"response_format": {"type": "json_object"}}, answer(content="Sure! {}"), True),
        ({"response_format": SCHEMA}, answer(content=""), True),
        ({"response_format": SCHEMA}, answer(finish="length", content='{"a'), False),
        ({"response_format": SCHEMA}, answer(content='{"a": 1}'), False),
        ({"response_format": SCHEMA, "tools": [TOOL]}, answer(tool_calls=[CALL]), False),
        ({"response_format": {"type": "text"}}, answer(content="Sure!"), False),
    ],
    ids=str,
)
async def test_an_answer_that_breaks_what_was_required_is_an_error(
    gateway: GatewaySetup, change: dict[str, Any], given: dict[str, Any], *, is_broken: bool
) -> None:
    gateway.model.respond = whole(200, given)

    response = await gateway.send(**change)

    if is_broken:
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (422, "model_output_invalid")
        assert (await gateway.log_writer.next()).error == error["message"]
    else:
        assert response.status_code == 200


@pytest.mark.parametrize("change", [REQUIRED, {"response_format": SCHEMA}], ids=str)
async def test_a_stream_that_breaks_what_was_required_ends_with_an_error_in_place_of_its_end(
    gateway: GatewaySetup, change: dict[str, Any]
) -> None:
    gateway.model.respond = stream([text_event("Sure!"), text_event("", "stop"), event(b"[DONE]")])

    request = httpx.Request(
        "POST",
        f"{gateway.url}/chat/completions",
        headers={"authorization": f"Bearer {SECRET}"},
        json=CHAT_REQUEST | {"stream": True} | change,
    )
    response = await gateway.client.send(request, stream=True)
    received, chunks = b"", response.aiter_raw()
    with suppress(httpx.RemoteProtocolError):  # the body stays incomplete
        while True:
            received += await anext(chunks)

    assert b"Sure!" in received
    assert b"model_output_invalid" in received
    assert b"[DONE]" not in received
    assert (await gateway.log_writer.next()).finish == "error"


async def test_a_called_tool_of_a_stream_is_what_was_required(gateway: GatewaySetup) -> None:
    delta = {"tool_calls": [{"index": 0, **CALL}]}
    choice = {"index": 0, "delta": delta, "finish_reason": "tool_calls"}
    gateway.model.respond = stream([event({"choices": [choice]}), event(b"[DONE]")])

    response = await gateway.send(stream=True, tools=[TOOL], tool_choice="required")

    assert response.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("change", "limit"),
    [
        ({"response_format": SCHEMA}, 1024),
        (REQUIRED, 1024),
        ({"response_format": SCHEMA, "max_tokens": 5}, 5),
        ({"response_format": SCHEMA, "max_completion_tokens": 5}, None),
        ({"response_format": {"type": "text"}}, None),
        ({}, None),
    ],
    ids=str,
)
async def test_an_answer_of_a_forced_form_has_a_bound_of_tokens(
    gateway: GatewaySetup, change: dict[str, Any], limit: int | None
) -> None:
    await gateway.send(**change)

    assert gateway.model.requests[0][2].get("max_tokens") == limit


# --- whose fault


UPSTREAM_ERRORS = [
    (
        500,
        "image input is not supported - hint: you may need to provide the mmproj",
        400,
        "unsupported_parameter",
    ),
    (500, "Failed to parse tools: type must be string, but is null", 400, "unsupported_parameter"),
    (500, "Unknown reasoning format: x", 400, "unsupported_parameter"),
    (501, "This server does not support it", 400, "unsupported_parameter"),
    (500, "The model produced output that does not match the expected format", 422, "model_output_invalid"),
    (400, "request (15014 tokens) exceeds the available context size", 400, "context_length_exceeded"),
    (500, "out of memory", 500, None),
    (502, "bad gateway", 502, None),
    (503, "server busy", 503, "unavailable"),
    (429, "too many", 429, "rate_limit_exceeded"),
    (403, "wrong key", 502, "upstream_refused"),
    (302, "elsewhere", 502, "upstream_error"),
]
"""Status and message of a model server, and the status and code that the client gets."""


@pytest.mark.parametrize(("status", "message", "expected", "code"), UPSTREAM_ERRORS)
async def test_an_error_is_a_server_error_only_where_the_model_server_is_at_fault(
    gateway: GatewaySetup, status: int, message: str, expected: int, code: str | None
) -> None:
    gateway.model.respond = whole(status, {"error": {"message": message}})

    response = await gateway.send()

    assert (response.status_code, response.json()["error"]["code"]) == (expected, code)


@pytest.mark.parametrize(
    ("reason", "status", "code"), [(None, 502, "upstream_down"), (NO_PLACE, 503, "unavailable")]
)
async def test_a_model_runtime_that_does_not_answer_is_502_and_one_without_place_503(
    gateway: GatewaySetup, reason: str | None, status: int, code: str
) -> None:
    gateway.runtime.refusal = Unavailable("A sentence.", reason=reason)

    response = await gateway.send()

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
async def test_a_response_that_is_no_json_object_is_502(gateway: GatewaySetup, body: bytes) -> None:
    gateway.model.respond = whole(200, body)

    response = await gateway.send()

    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_error")


async def test_the_openai_client_does_not_try_again_what_the_model_cannot_say(gateway: GatewaySetup) -> None:
    gateway.model.respond = whole(500, {"error": {"message": "The model produced output that is odd"}})
    client = gateway.openai.with_options(max_retries=3)

    with pytest.raises(UnprocessableEntityError):
        await client.chat.completions.create(**CHAT_REQUEST)

    assert len(gateway.model.requests) == 1


# --- several choices


def numbered(gateway: GatewaySetup) -> None:
    """Have the model answer each request with its number."""

    async def respond(receive: Receive, send: Send) -> None:
        body = gateway.model.requests[-1][2]
        text = f"answer {len(gateway.model.requests)}"
        if body.get("stream"):
            chunks = [text_event(word) for word in text.split()]
            usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
            await stream(
                [*chunks, text_event("", "stop"), event({"choices": [], "usage": usage}), event(b"[DONE]")]
            )(receive, send)
        elif "prompt" in body:
            choice = {"index": 0, "text": f"{body['prompt']}!", "finish_reason": "stop"}
            await whole(200, CHAT | {"object": "text_completion", "choices": [choice]})(receive, send)
        else:
            await whole(200, answer(content=text))(receive, send)

    gateway.model.respond = respond


async def test_several_choices_are_as_many_requests_and_their_tokens_are_summed(
    gateway: GatewaySetup,
) -> None:
    numbered(gateway)

    response = await gateway.openai.chat.completions.create(**CHAT_REQUEST, n=8, seed=7)

    assert [choice.index for choice in response.choices] == list(range(8))
    assert {choice.message.content for choice in response.choices} == {
        f"answer {number}" for number in range(1, 9)
    }
    assert response.usage is not None
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (5, 16)
    assert (response.model, response.usage.total_tokens) == (MODEL, 21)
    assert sorted(body["seed"] for _, _, body in gateway.model.requests) == list(range(7, 15))
    assert all("n" not in body for _, _, body in gateway.model.requests)
    log = await gateway.log_writer.next()
    assert (log.prompt_tokens, log.completion_tokens, gateway.log_writer.is_empty) == (5, 16, True)


async def test_several_choices_are_one_stream(gateway: GatewaySetup) -> None:
    numbered(gateway)

    chunks = [
        chunk
        async for chunk in await gateway.openai.chat.completions.create(
            **CHAT_REQUEST, n=3, stream=True, stream_options={"include_usage": True}
        )
    ]

    texts = dict.fromkeys(range(3), "")
    for chunk in chunks[:-1]:
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert sorted(texts.values()) == ["answer1", "answer2", "answer3"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {MODEL}
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (5, 6)
    assert (await gateway.log_writer.next()).finish == "stop"


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_one_choice_that_fails_fails_the_response(gateway: GatewaySetup, *, is_streamed: bool) -> None:
    async def fail_second(receive: Receive, send: Send) -> None:
        status = 400 if len(gateway.model.requests) == 2 else 429
        await whole(status, {"error": {"message": "no"}})(receive, send)

    gateway.model.respond = fail_second

    response = await gateway.send(n=2, stream=is_streamed)

    assert response.status_code in {400, 429}
    assert (await gateway.log_writer.next()).status == response.status_code


async def test_a_choice_that_breaks_off_ends_the_stream_of_all_with_an_error(gateway: GatewaySetup) -> None:
    gateway.model.respond = stream([text_event("Hel")], breaks_off=True)

    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        await gateway.send(n=2, stream=True)

    assert (await gateway.log_writer.next()).error == "The model server broke off."


async def test_each_of_several_prompts_has_its_choices(gateway: GatewaySetup) -> None:
    numbered(gateway)

    response = await complete(gateway, prompt=["One", "Two"], n=2)

    body = response.json()
    assert [choice["text"] for choice in body["choices"]] == ["One!", "One!", "Two!", "Two!"]
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18}


# --- completions


async def test_a_completion_echoes_its_prompt(gateway: GatewaySetup) -> None:
    numbered(gateway)

    one = await complete(gateway, echo=True)
    two = await complete(gateway, echo=True, prompt=["One", "Two"], n=1, best_of=1)

    assert one.json()["choices"][0]["text"] == "OneOne!"
    assert [choice["text"] for choice in two.json()["choices"]] == ["OneOne!", "TwoTwo!"]
    assert all("echo" not in body for _, _, body in gateway.model.requests)


async def test_a_streamed_completion_echoes_its_prompt_once(gateway: GatewaySetup) -> None:
    texts = [{"choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in ("a", "b")]
    gateway.model.respond = stream([*map(event, texts), event(b"[DONE]")])

    response = await complete(gateway, echo=True, stream=True)

    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    assert [part["choices"][0]["text"] for part in events] == ["Onea", "b"]


def logprobs(*tokens: str) -> dict[str, Any]:
    """Log probabilities in the form of chats, which llama.cpp sends for completions too."""
    return {
        "content": [
            {
                "token": token,
                "logprob": -0.5,
                "bytes": list(token.encode()),
                "top_logprobs": [{"token": token, "logprob": -0.5}, {"token": "?", "logprob": -2.0}],
            }
            for token in tokens
        ]
    }


@pytest.mark.parametrize(("requested", "sent"), [(2, 2), (0, 1)])
async def test_a_completion_has_log_probabilities_in_the_form_of_completions(
    gateway: GatewaySetup, requested: int, sent: int
) -> None:
    choice = {"index": 0, "text": " to be", "finish_reason": "stop", "logprobs": logprobs(" to", " be")}
    gateway.model.respond = whole(200, CHAT | {"choices": [choice]})

    response = await gateway.openai.completions.create(model=MODEL, prompt="One", logprobs=requested)

    found = response.choices[0].logprobs
    assert found is not None
    assert (found.tokens, found.token_logprobs, found.text_offset) == ([" to", " be"], [-0.5, -0.5], [0, 3])
    assert found.top_logprobs == ([{" to": -0.5, "?": -2.0}, {" be": -0.5, "?": -2.0}] if requested else None)
    assert gateway.model.requests[0][2]["logprobs"] == sent


async def test_a_streamed_completion_has_them_too_and_offsets_go_on(gateway: GatewaySetup) -> None:
    parts = [
        {"choices": [{"index": 0, "text": text, "finish_reason": None, "logprobs": logprobs(text)}]}
        for text in (" to", " be")
    ]
    gateway.model.respond = stream([*map(event, parts), event(b"[DONE]")])

    chunks = [
        chunk.choices[0].logprobs
        async for chunk in await gateway.openai.completions.create(
            model=MODEL, prompt="One", logprobs=1, stream=True
        )
    ]

    assert [chunk and chunk.text_offset for chunk in chunks] == [[0], [3]]
    assert [chunk and chunk.tokens for chunk in chunks] == [[" to"], [" be"]]


async def test_log_probabilities_in_the_form_of_completions_stay(gateway: GatewaySetup) -> None:
    old = {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": [{"a": -1.0}], "text_offset": [0]}
    choice = {"index": 0, "text": "a", "finish_reason": "stop", "logprobs": old}
    gateway.model.respond = whole(200, CHAT | {"choices": [choice]})

    assert (await complete(gateway, logprobs=1)).json()["choices"][0]["logprobs"] == old


# --- names


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_the_answered_model_is_the_one_that_may_be_sent_back(
    gateway: GatewaySetup, *, is_streamed: bool
) -> None:
    content = '"model": "m"'
    if is_streamed:
        gateway.model.respond = stream([text_event(content), event(b"[DONE]")])
    else:
        gateway.model.respond = whole(200, answer(content=content))

    response = await gateway.send(stream=is_streamed)

    part = (
        response.json()
        if not is_streamed
        else json.loads(response.text.splitlines()[0].removeprefix("data: "))
    )
    assert part["model"] == MODEL
    choice = part["choices"][0]
    assert (choice.get("message") or choice["delta"])["content"] == content


async def test_a_model_is_retrieved_by_its_name(gateway: GatewaySetup) -> None:
    model = await gateway.openai.models.retrieve(MODEL)

    assert (model.id, model.object, model.owned_by, model.created) == (MODEL, "model", "luthier", 1767312000)


async def test_an_unknown_model_is_404_and_a_wrong_key_401(gateway: GatewaySetup) -> None:
    headers = {"authorization": f"Bearer {SECRET}"}

    unknown = await gateway.client.get(f"{gateway.url}/models/other", headers=headers)
    unauthenticated = await gateway.client.get(f"{gateway.url}/models/{MODEL}")

    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    assert unauthenticated.status_code == 401


@pytest.mark.parametrize("path", ["models/a/b", "models/a%2Fb"])
async def test_a_name_with_a_slash_is_retrieved_raw_and_encoded(gateway: GatewaySetup, path: str) -> None:
    gateway.key_table.model_name = "a/b"

    response = await gateway.client.get(
        f"{gateway.url}/{path}", headers={"authorization": f"Bearer {SECRET}"}
    )

    assert (response.status_code, response.json()["id"]) == (200, "a/b")


@pytest.mark.parametrize("base", ["", "/v1"])
async def test_health_is_that_of_the_keys_model(gateway: GatewaySetup, base: str) -> None:
    url = gateway.url.removesuffix("/v1") + base + "/health"
    headers = {"authorization": f"Bearer {SECRET}"}

    ready = await gateway.client.get(url, headers=headers)
    gateway.key_table.is_ready = False
    unready = await gateway.client.get(url, headers=headers)

    assert (ready.status_code, ready.json()) == (200, {"status": "ok"})
    assert (unready.status_code, unready.headers["retry-after"]) == (503, "1")
    assert (await gateway.client.get(url)).status_code == 401
    assert gateway.model.requests == []


@pytest.mark.parametrize("path", ["/x/y/public/{}/models", "/{}/models%0A", "/{}/v1/v1/models"])
async def test_a_path_is_matched_as_a_whole(gateway: GatewaySetup, path: str) -> None:
    root, project = gateway.url.removesuffix("/v1").rsplit("/", 1)
    url = httpx.URL(root).copy_with(raw_path=f"/public{path.format(project)}".encode())

    response = await gateway.client.get(url, headers={"authorization": f"Bearer {SECRET}"})

    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_url")


async def test_a_wrong_method_names_the_right_one(gateway: GatewaySetup) -> None:
    response = await gateway.client.get(f"{gateway.url}/chat/completions")

    assert (response.status_code, response.headers["allow"]) == (405, "POST")
