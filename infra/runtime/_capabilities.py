"""What a model can do, as its server describes it."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import httpx

from domain.deployments import ModelCapability

TIMEOUT_S = 3.0
"""Of the whole request: a completion may be waiting for it."""
OLLAMA_NAMES = {
    "completion": ModelCapability.STRUCTURED_OUTPUT,  # Ollama constrains every generated text by a grammar
    "tools": ModelCapability.TOOLS,
    "thinking": ModelCapability.REASONING,
    "embedding": ModelCapability.EMBEDDINGS,
}
REASONING_FLAGS = ("supports_preserve_reasoning", "supports_reasoning_effort")
REASONING_TEXTS = ("enable_thinking", "<think>", "</think>")
"""In a template that begins the reasoning, or removes it from earlier turns: llama.cpp has no flag for these."""

logger = logging.getLogger(__name__)


async def from_llama_cpp(
    client: httpx.AsyncClient, root: str, model: str
) -> frozenset[ModelCapability] | None:
    """What a model of a llama.cpp server can do; None when the server does not say."""
    # The name matters only where one server has several models.
    return described_by_llama_cpp(await _json(client, "GET", f"{root}/props", params={"model": model}))


async def from_ollama(client: httpx.AsyncClient, root: str, model: str) -> frozenset[ModelCapability] | None:
    """What a model of an Ollama server can do; None when the server does not say, as any other server."""
    return described_by_ollama(await _json(client, "POST", f"{root}/api/show", json={"model": model}))


def described_by_llama_cpp(props: Any) -> frozenset[ModelCapability] | None:
    """The capabilities in the JSON of `GET /props`; None when there are none, as in old versions.

    A grammar gives every model structured output. Tools need a template that renders both the tools and
    the calls: with one of them alone, llama.cpp ignores `tool_choice`, or the model never sees the tools.
    """
    match props:
        case {"chat_template_caps": {"supports_tools": bool(), "supports_tool_calls": bool()} as flags}:
            found = {ModelCapability.STRUCTURED_OUTPUT}
            if flags["supports_tools"] and flags["supports_tool_calls"]:
                found.add(ModelCapability.TOOLS)
            if _reasons(flags, str(props.get("chat_template"))):
                found.add(ModelCapability.REASONING)
            return frozenset(found)
        case _:
            return None


def described_by_ollama(description: Any) -> frozenset[ModelCapability] | None:
    """The capabilities in the JSON of `POST /api/show`; None when there are none.

    Where llama.cpp imitates Ollama, it lists `completion` alone, whatever the template, and leaves `modified_at`
    empty, which Ollama never does: such a list says nothing.
    """
    match description:
        case {"capabilities": [_, *_] as names, "modified_at": str(modified_at)} if modified_at:
            return frozenset(capability for name, capability in OLLAMA_NAMES.items() if name in names)
        case _:
            return None


def _reasons(flags: Mapping[str, Any], template: str) -> bool:
    return any(flags.get(name) is True for name in REASONING_FLAGS) or any(
        text in template for text in REASONING_TEXTS
    )


async def _json(client: httpx.AsyncClient, method: str, url: str, **request: Any) -> Any:
    """The JSON of a response; None for any error, because a model can be served without its description."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            response = await client.request(method, url, **request)
            return response.raise_for_status().json()
    except (TimeoutError, httpx.HTTPError, ValueError) as error:
        logger.debug("%s does not say what its model can do: %r", url, error)
        return None
