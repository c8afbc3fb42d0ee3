"""The scripted model server keeps to the protocol, so that a client that fails has met Luthier."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jsonschema_rs
import pytest
from openai import APIError, AsyncOpenAI, InternalServerError, RateLimitError

from tests.interop.schema_values import ValueMaker
from tests.interop.scripted_model import MODEL, ScriptedModel
from tests.rest.gateway_fakes import serving

pytestmark = pytest.mark.anyio

SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5}, "b": {"enum": ["x", "cats"]}}},
    {"type": "array", "items": {"type": ["null", "boolean"]}, "minItems": 2},
    {
        "$defs": {"name": {"type": "string", "maxLength": 3}},
        "anyOf": [{"type": "null"}, {"$ref": "#/$defs/name"}],
    },
    {"allOf": [{"type": "object", "properties": {"c": {"const": 7}}, "required": ["c"]}], "type": "object"},
    {"type": "number", "maximum": 2.5},
    {"type": "string", "format": "date"},
    {"type": "string", "minLength": 40},
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_value_satisfies_its_schema(schema: dict[str, Any]) -> None:
    value = ValueMaker("3 jokes about 'cats'", schema).value(schema)
    jsonschema_rs.validate(schema, value, validate_formats=True)


def test_values_come_from_the_text_in_its_order() -> None:
    number, text = {"type": "integer"}, {"type": "string"}
    schema = {"type": "object", "properties": {"a": number, "b": number, "c": text, "d": text}}
    found = ValueMaker("add 3 and -4 to 'x'", schema).value(schema)
    assert found == {"a": 3, "b": -4, "c": "x", "d": "add 3 and -4 to 'x'"}


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
async def client(model: ScriptedModel) -> AsyncIterator[AsyncOpenAI]:
    async with (
        serving(model.app) as url,
        AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as openai,
    ):
        yield openai


async def chat(client: AsyncOpenAI, text: str, **options: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return await client.chat.completions.create(model=MODEL, messages=messages, **options)


async def test_the_same_request_has_the_same_answer(client: AsyncOpenAI) -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    for options in ({}, {"tools": [tool]}, {"n": 2, "logprobs": True, "top_logprobs": 1}):
        first, second = [await chat(client, "The weather?", **options) for _ in range(2)]
        assert first == second


async def test_a_stream_has_the_parts_of_the_whole_answer(client: AsyncOpenAI) -> None:
    whole = await chat(client, "one two three")
    chunks = [
        chunk
        async for chunk in await chat(
            client, "one two three", stream=True, stream_options={"include_usage": True}
        )
    ]
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


async def test_a_prompt_can_request_a_fault(client: AsyncOpenAI) -> None:
    with pytest.raises(InternalServerError):
        await chat(client, "[fault: 500]")
    with pytest.raises(RateLimitError):
        await chat(client, "[fault: 429]")
    assert (await chat(client, "[fault: 429]")).choices


@pytest.mark.parametrize("fault", ["breaks_off", "error_event"])
async def test_a_prompt_can_request_a_stream_that_fails(
    client: AsyncOpenAI, model: ScriptedModel, fault: str
) -> None:
    stream = await chat(client, f"[fault: {fault}]", stream=True)
    texts = [(await anext(stream)).choices[0].delta.content for _ in range(3)]
    assert "".join(texts) == "You wrote:"
    model.forwarded.set()
    with pytest.raises((APIError, httpx2.HTTPError)):
        await anext(stream)
