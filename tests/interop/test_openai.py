"""The clients of OpenAI itself."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.interop.conftest import Recorder
from tests.interop.running import Endpoint, differences, run_program
from tests.interop.scripted_model import MODEL, ScriptedModel

pytestmark = pytest.mark.anyio

WEATHER = ["tool_calls", [["get_weather", '{"city": "Kyoto"}']]]
NOT_FOUND = ["NotFoundError", "model_not_found", "model"]
OUTCOMES: dict[str, Any] = {
    "chat_whole": ["You wrote: Hello", "stop", True, 1, 3],
    "chat_stream": ["You wrote: Hello", True, 4],
    "chat_asynchronous": "You wrote: Hello",
    "answered_model_may_be_sent_back": "You wrote: Hello",
    "models_list": [MODEL],
    "models_retrieve": MODEL,
    "models_retrieve_raw": [200, MODEL],
    "tools_auto": WEATHER,
    "tools_required": ["tool_calls", [["get_weather", '{"city": "Hello"}']]],
    "tools_named": ["tool_calls", [["get_time", "{}"]]],
    "tools_none": ["stop", []],
    "tools_stream": WEATHER,
    "tool_loop": "The tool returned: It is sunny.",
    "structured_parse": {"name": "Kyoto", "population": 1460000},
    "structured_stream": {"name": "Hello", "population": 1},
    "json_mode": {"name": "JSON with the key 'name'"},
    "two_choices": [[0, 1], 6],
    "two_choices_streamed": [0, 1],
    "stop_and_length": [["You wrote: ", "stop"], ["You", "length"]],
    "logprobs": [["You", 2], [" wrote:", 2], [" Hello", 2]],
    "completions_legacy": [" and so on after Once", 6],
    "completions_legacy_stream": " and so on after Once",
    "completions_legacy_logprobs": [[" and", " so"], [-0.25, -0.25], [[" and"], [" so"]], 2],
    "error_wrong_key": ["AuthenticationError", "invalid_api_key", ""],
    "error_unknown_model": NOT_FOUND,
    "error_unknown_model_retrieved": NOT_FOUND,
    "error_out_of_range": ["BadRequestError", "invalid_value", "temperature"],
    "error_too_many_stops": ["BadRequestError", "invalid_value", "stop"],
    "error_no_messages": ["BadRequestError", "invalid_value", "messages"],
    "error_unknown_role": ["BadRequestError", "invalid_value", "messages"],
    "error_no_embeddings": "NotFoundError",
    "error_of_the_model_server": "InternalServerError",
    "error_slow_model_server": "timeout",
    "retry_after_429": "stop",
    "stream_that_breaks_off": "APIError",
    "stream_with_an_error_event": "APIError",
}


@pytest.fixture
async def model(scripted_model: tuple[ScriptedModel, str]) -> AsyncIterator[ScriptedModel]:
    """The model server, which notices after the test that the client of its slow answer has disconnected."""
    model, _ = scripted_model
    model.abandoned.clear()
    yield model
    async with asyncio.timeout(10):
        await model.abandoned.wait()


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("version", ["openai-1", "openai-2", "openai-3"])
async def test_openai_python(endpoint: Endpoint, application: Recorder, version: str) -> None:
    found = await run_program("openai_python.py", endpoint.environment, version)
    assert differences(found, OUTCOMES | {"version": version}) == {}
    assert application.retried == [429]


@pytest.mark.usefixtures("model")
async def test_openai_node(endpoint: Endpoint, application: Recorder) -> None:
    assert differences(await run_program("openai.mjs", endpoint.environment), OUTCOMES) == {}
    assert application.retried == [429]
