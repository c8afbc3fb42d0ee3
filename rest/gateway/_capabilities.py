"""What a model can do: requests that need more are refused, for the model server would ignore that."""

from collections.abc import Mapping
from typing import Any

from domain.deployments import ModelCapability
from rest.gateway._checks import unsupported
from rest.gateway._endpoints import CHAT, COMPLETIONS
from rest.gateway._requests import GatewayRequest, dicts

TEXT_PARTS = {"text", "refusal"}
NOT_FOR_TEXT_MODELS = {
    CHAT: ("functions", "function_call", "audio", "web_search_options"),
    COMPLETIONS: ("suffix", "response_format", "tools", "tool_choice"),
}
"""Fields that a text model in llama.cpp would ignore, by endpoint."""
EMPTY: tuple[Any, ...] = (None, "", [])
NO_TOOLS = "This model's chat template cannot show tools: send the request without them, or fine-tune another base model."


def check_supported(
    request: GatewayRequest, capabilities: frozenset[ModelCapability] | None, *, is_text_model: bool
) -> None:
    """Raise `OpenAIError` 400 for what the model cannot do and would ignore. `capabilities` None are unknown."""
    if is_text_model:
        _check_text_only(request.endpoint, request.body)
    if capabilities is not None and ModelCapability.TOOLS not in capabilities:
        _check_without_tools(request.endpoint, request.body)


def _check_text_only(endpoint: str, body: Mapping[str, Any]) -> None:
    for name in NOT_FOR_TEXT_MODELS[endpoint]:
        if body.get(name) not in EMPTY:
            raise unsupported(name, f"This model does not support `{name}`.")
    if body.get("modalities") not in (*EMPTY, ["text"]):
        raise unsupported("modalities", "This model answers in text only.")
    for index, message in enumerate(_messages(endpoint, body)):
        for position, part in enumerate(dicts(message.get("content"))):
            if part["type"] not in TEXT_PARTS:
                path = f"messages[{index}].content[{position}]"
                raise unsupported(path, f"This model reads text only, and `{path}` is {part['type']}.")


def _check_without_tools(endpoint: str, body: Mapping[str, Any]) -> None:
    if body.get("tools") and body.get("tool_choice") != "none":
        raise unsupported("tools", NO_TOOLS)
    for index, message in enumerate(_messages(endpoint, body)):
        if message["role"] in {"tool", "function"} or message.get("tool_calls"):
            raise unsupported(f"messages[{index}]", NO_TOOLS)


def _messages(endpoint: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The checked messages of a chat; completions have none, and a field of that name is unchecked."""
    messages: list[dict[str, Any]] = body["messages"] if endpoint == CHAT else []
    return messages
