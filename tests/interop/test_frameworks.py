"""Libraries and frameworks that call models through the protocol of OpenAI."""

from typing import Any

import pytest

from tests.interop.running import Endpoint, differences, run_program
from tests.interop.scripted_model import MODEL

pytestmark = pytest.mark.anyio

HELLO = "You wrote: Hello"
SUNNY = "The tool returned: It is sunny in Kyoto."
CITY = {"name": "Kyoto", "population": 1460000}
LANGCHAIN: dict[str, Any] = {
    "chat": [HELLO, 4, MODEL],
    "stream": [HELLO, True],
    "asynchronous": HELLO,
    "tool_loop": SUNNY,
    "tools_streamed": [{"city": "Kyoto"}],
    "structured_output": CITY,
    "structured_output_by_tool": CITY,
    "logprobs": ["You", " wrote:", " Hello"],
    "completions_legacy": " and so on after Once",
    "broken_stream": "APIError",
}
LITELLM: dict[str, Any] = {
    "chat": [HELLO, 4],
    "stream": HELLO,
    "asynchronous": HELLO,
    "tools": ['{"city": "Kyoto"}'],
    "structured_output": CITY,
    "completions_legacy": " and so on after Once",
    "wrong_key": "AuthenticationError",
    "broken_stream": "MidStreamFallbackError",
}
PYDANTIC_AI: dict[str, Any] = {
    "chat": HELLO,
    "stream": HELLO,
    "tool_loop": SUNNY,
    "output_by_tool": CITY,
    "output_by_tool_after_a_tool": [1, 5],
    "output_by_schema": CITY,
    "broken_stream": "AgentRunError",
}
OPENAI_AGENTS: dict[str, Any] = {
    "chat": HELLO,
    "stream": [HELLO, True],
    "tool_loop": SUNNY,
    "structured_output": CITY,
    "name_with_the_part_before_the_slash_as_provider": HELLO,
    "broken_stream": "APIError",
}
AI_SDK: dict[str, Any] = {
    "chat": [HELLO, 4, "stop"],
    "stream": [HELLO, 4],
    "tool_loop": [SUNNY, 2],
    "tool_loop_streamed": SUNNY,
    "tool_required": [["get_weather", {"city": "Kyoto"}]],
    "structured_output": CITY,
    "structured_output_streamed": CITY,
    "wrong_key": ["AI_APICallError", 401],
    "broken_stream": 1,
}


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("langchain.py", LANGCHAIN),
        ("litellm_client.py", LITELLM),
        ("pydantic_ai_client.py", PYDANTIC_AI),
        ("openai_agents.py", OPENAI_AGENTS),
        (
            "ai_sdk.mjs",
            {f"{name}: {case}": AI_SDK[case] for name in ("compatible", "openai") for case in AI_SDK},
        ),
    ],
    ids=["langchain", "litellm", "pydantic-ai", "openai-agents", "ai-sdk"],
)
async def test_a_framework(endpoint: Endpoint, program: str, expected: dict[str, Any]) -> None:
    assert differences(await run_program(program, endpoint.environment), expected) == {}
