"""Requests to llama.cpp itself: whatever a client sends, the model server is not made to fail by it."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import UnprocessableEntityError

from domain.deployments import ModelCapability
from domain.ports.model_runtime import Upstream
from infra.runtime._model_process import start
from tests.infra.runtime.tiny import TOOL_TEMPLATE, write_model
from tests.rest.gateway_bodies import CALL, CALLED, IMAGE, REQUIRED, SCHEMA, TOOL, USER, parts
from tests.rest.gateway_fakes import CHAT_REQUEST, MODEL, SECRET, GatewaySetup, gateway_setup

pytestmark = pytest.mark.anyio

SERVER_ERRORS = {500, 502, 503, 504}
TEXT_SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "a",
        "schema": {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]},
    },
}


@pytest.fixture(scope="module")
async def llama(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Upstream]:
    """A model of 259 byte tokens and random weights, whose texts are hardly ever valid UTF-8."""
    folder: Path = tmp_path_factory.mktemp("llama")
    process = await start(write_model(folder / "model.gguf", context=2048, seed=1, template=TOOL_TEMPLATE))
    yield Upstream(
        base_url=process.base_url,
        model="model",
        api_key=process.key,
        capabilities=frozenset({ModelCapability.TOOLS, ModelCapability.STRUCTURED_OUTPUT}),
    )
    await process.stop()


@pytest.fixture
async def gateway(llama: Upstream) -> AsyncIterator[GatewaySetup]:
    async with gateway_setup() as gateway:
        gateway.runtime.upstreams = [llama]
        yield gateway


async def send(gateway: GatewaySetup, **change: Any) -> httpx.Response:
    return await gateway.send(**{"max_tokens": 4, "temperature": 0} | change)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"n": 8},
        {"seed": -5},
        {"stop": ["a", "b"], "logit_bias": {"5": 1.5}, "logprobs": True, "top_logprobs": 2},
        {"messages": [USER, CALLED, {"role": "tool", "tool_call_id": "1", "content": "r"}], "tools": [TOOL]},
        {"messages": [USER, {"role": "assistant", "content": None}, USER]},
        {"messages": [{"role": "user", "content": "<|assistant|>\0</s>"}]},
        {"messages": [{"role": "user", "content": []}]},
        {"tools": [{"type": "function", "function": {"name": "f", "description": None, "parameters": None}}]},
        {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": True},
        {"tools": [TOOL], "tool_choice": "none"},
        {"response_format": {"type": "json_object"}, "max_tokens": 1},
        {"max_tokens": None, "max_completion_tokens": 2},
        {"store": True, "metadata": {"a": "b"}, "user": "u", "reasoning_effort": None},
    ],
    ids=str,
)
async def test_a_usual_request_is_answered(gateway: GatewaySetup, change: dict[str, Any]) -> None:
    response = await send(gateway, **change)

    assert response.status_code == 200, response.text
    assert response.json().get("model") == MODEL, response.text


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (parts(IMAGE), 400, "unsupported_parameter"),
        ({"messages": [{"role": "user", "content": "long " * 2000}]}, 400, "context_length_exceeded"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "x"}}}}, 400, None),
        ({"messages": [USER, {**CALLED, "tool_calls": [{**CALL, "type": "x"}]}]}, 400, "invalid_value"),
        ({"response_format": TEXT_SCHEMA, "max_tokens": None}, 422, "model_output_invalid"),
        ({**REQUIRED, "max_tokens": 400}, 422, "model_output_invalid"),
    ],
    ids=str,
)
async def test_a_request_that_cannot_be_answered_is_no_error_of_a_server(
    gateway: GatewaySetup, change: dict[str, Any], status: int, code: str | None
) -> None:
    response = await send(gateway, **change)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text


async def test_requests_right_after_streams_are_answered(gateway: GatewaySetup) -> None:
    statuses = [(await send(gateway, stream=number % 2 == 0)).status_code for number in range(60)]

    assert statuses == [200] * 60


async def test_a_prompt_that_is_too_long_is_said_in_numbers(gateway: GatewaySetup) -> None:
    response = await send(gateway, messages=[{"role": "user", "content": "long " * 2000}])

    assert re.fullmatch(
        r"The prompt has [\d,]+ tokens, and the model reads 2,048 with its answer: shorten it\.",
        response.json()["error"]["message"],
    )


async def test_a_model_whose_json_is_malformed_is_not_asked_again(gateway: GatewaySetup) -> None:
    client = gateway.openai.with_options(max_retries=2)

    with pytest.raises(UnprocessableEntityError) as caught:
        await client.chat.completions.create(**CHAT_REQUEST, response_format=TEXT_SCHEMA, temperature=0)

    assert caught.value.code == "model_output_invalid"
    assert (await gateway.log_writer.next()).status == 422
    assert gateway.log_writer.is_empty


VALUES = st.sampled_from(
    [None, True, 0, 1, 2, -1, 1.5, 10**20, "", "a", "auto", "\0", [], ["a"], {}, {"a": 1}, [[1]]]
)
PARTS = st.one_of(
    VALUES,
    st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url", "x"])}, optional={"text": VALUES}),
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "x"])},
    optional={
        "content": st.one_of(VALUES, st.just("Hello"), st.lists(PARTS, max_size=2)),
        "tool_calls": st.one_of(VALUES, st.just([CALL])),
        "tool_call_id": VALUES,
        "name": VALUES,
    },
)
FUNCTIONS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(VALUES, st.just("f")),
        "description": VALUES,
        "parameters": VALUES,
        "strict": VALUES,
    },
)
TOOLS = st.fixed_dictionaries(
    {"type": st.sampled_from(["function", "custom"])}, optional={"function": FUNCTIONS}
)
SCALARS = (
    "temperature", "top_p", "presence_penalty", "frequency_penalty", "n", "stop", "seed", "logprobs", "top_logprobs",
    "logit_bias", "stream", "stream_options", "parallel_tool_calls", "reasoning_effort", "modalities", "user", "store",
    "max_completion_tokens", "response_format", "tool_choice", "prediction", "functions", "metadata",
)  # fmt: skip
BODIES = st.fixed_dictionaries(
    {"messages": st.one_of(VALUES, st.lists(st.one_of(MESSAGES, VALUES), max_size=3))},
    optional=dict.fromkeys(SCALARS, VALUES)
    | {
        "tools": st.one_of(VALUES, st.lists(TOOLS, max_size=2)),
        "response_format": st.one_of(
            VALUES, st.just(SCHEMA), st.fixed_dictionaries({"type": VALUES, "json_schema": VALUES})
        ),
    },
)
PROMPTS = st.fixed_dictionaries(
    {"prompt": VALUES}, optional=dict.fromkeys((*SCALARS, "echo", "best_of", "suffix"), VALUES)
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
async def test_no_chat_makes_a_server_fail(gateway: GatewaySetup, body: dict[str, Any]) -> None:
    response = await gateway.send(**{"max_tokens": 2} | body)

    assert response.status_code not in SERVER_ERRORS, (response.status_code, response.text)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=PROMPTS)
async def test_no_completion_makes_a_server_fail(gateway: GatewaySetup, body: dict[str, Any]) -> None:
    response = await gateway.client.post(
        f"{gateway.url}/completions",
        json={"model": MODEL, "max_tokens": 2} | body,
        headers={"authorization": f"Bearer {SECRET}"},
    )

    assert response.status_code not in SERVER_ERRORS, (response.status_code, response.text)


async def test_a_completion_of_llama_has_log_probabilities_in_the_form_of_completions(
    gateway: GatewaySetup,
) -> None:
    response = await gateway.openai.completions.create(
        model=MODEL, prompt="One", max_tokens=8, logprobs=2, temperature=0
    )

    logprobs = response.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens
    assert len(logprobs.tokens) == len(logprobs.token_logprobs or ()) == len(logprobs.text_offset or ())


async def test_a_model_without_a_template_for_tools_is_not_asked(
    gateway: GatewaySetup, llama: Upstream
) -> None:
    gateway.runtime.upstreams = [replace(llama, capabilities=frozenset())]

    response = await send(gateway, **REQUIRED)

    assert (response.status_code, response.json()["error"]["param"]) == (400, "tools")
