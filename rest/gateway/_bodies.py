"""The bodies that are sent to the model server: one for each choice of a request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from domain.control_tokens import messages_without_control_tokens, tools_without_control_tokens
from domain.ports.model_runtime import Upstream
from rest.gateway._checks import invalid_value
from rest.gateway._endpoints import CHAT
from rest.gateway._requests import GatewayRequest

MAX_JSON_TOKENS = 1024
"""Tokens of an answer whose form is forced, where the request has no bound: a text in it may never end by itself."""


@dataclass(frozen=True, slots=True)
class UpstreamBody:
    """The body of one request to the model server: fields that all choices share, and those of one choice.

    It is encoded when it is sent: 256 copies of a body of 2 MiB would be half a GiB.
    """

    shared: Mapping[str, Any]
    own: Mapping[str, Any]

    def encode(self) -> bytes:
        """The body as JSON."""
        return orjson.dumps({**self.shared, **self.own})


def upstream_bodies(request: GatewayRequest, upstream: Upstream) -> list[UpstreamBody]:
    """The bodies for the model server: one for each choice.

    Streams are to end with their counts of tokens, which the log has.
    """
    body = _forwarded(request.endpoint, request.body) | {"model": upstream.model}
    if upstream.is_embedded and request.endpoint == CHAT:
        body |= _for_embedded_runtime(request, body)
    if (request.wants_json or request.requires_tool) and not _has_token_limit(body):
        body["max_tokens"] = MAX_JSON_TOKENS
    if request.is_streamed:
        body["stream_options"] = (body.get("stream_options") or {}) | {"include_usage": True}
    if request.has_legacy_logprobs:
        body["logprobs"] = max(1, body["logprobs"])  # llama.cpp takes 0 for no log probabilities
    count = request.choices_per_prompt
    if request.endpoint == CHAT and count == 1:
        return [UpstreamBody(body, {})]
    return [
        UpstreamBody(body, _of_choice(request.body, prompt, number))
        for prompt in request.prompts
        for number in range(count)
    ]


def _forwarded(endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body without what the gateway does itself, and tools in the form that every model server reads."""
    forwarded = {name: value for name, value in body.items() if name not in {"n", "best_of", "echo"}}
    if endpoint != CHAT:
        return forwarded
    if tools := body.get("tools"):
        forwarded["tools"] = [_without_nulls(tool) for tool in tools]
    if isinstance(choice := body.get("tool_choice"), dict):
        name = choice["function"]["name"]
        tools = forwarded["tools"]
        forwarded["tools"] = [tool for tool in tools if tool["function"]["name"] == name]
        forwarded["tool_choice"] = "required"
    return forwarded


def _for_embedded_runtime(request: GatewayRequest, body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a chat that llama.cpp gets with other values.

    It parses control tokens in the whole rendered prompt, so that a message could end its own turn: their spellings
    are broken, as they were in training. And where the template has a reasoning part, it lets the model write text
    without end before the JSON that `response_format` requires, unless reasoning is not told from the answer.
    """
    _check_arguments(body["messages"])
    changed: dict[str, Any] = {"messages": messages_without_control_tokens(body["messages"])}
    if tools := body.get("tools"):
        changed["tools"] = tools_without_control_tokens(tools)
    if request.wants_json:
        changed["reasoning_format"] = "none"
    return changed


def _check_arguments(messages: list[dict[str, Any]]) -> None:
    """Raise `OpenAIError` 400 for arguments of a tool call that llama.cpp, which gives them to templates as JSON, cannot read."""
    for index, message in enumerate(messages):
        for number, call in enumerate(message.get("tool_calls") or ()):
            function = call.get("function")
            arguments = function.get("arguments") if isinstance(function, dict) else None
            if isinstance(arguments, str) and not _is_readable(arguments):
                path = f"messages[{index}].tool_calls[{number}].function.arguments"
                raise invalid_value(path, "must be JSON text")


def _is_readable(arguments: str) -> bool:
    """Whether arguments are JSON that can be written again, with finite numbers; `RecursionError` is for hostile depths."""
    try:
        json.dumps(json.loads(arguments), ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _without_nulls(tool: dict[str, Any]) -> dict[str, Any]:
    """llama.cpp fails on a null where it reads an optional text."""
    function = {name: value for name, value in tool["function"].items() if value is not None}
    return tool | {"function": function}


def _has_token_limit(body: Mapping[str, Any]) -> bool:
    return body.get("max_tokens") is not None or body.get("max_completion_tokens") is not None


def _of_choice(body: Mapping[str, Any], prompt: Any, number: int) -> dict[str, Any]:
    """The prompt of a choice, and its seed: with the same one, all choices would be the same."""
    seed = body.get("seed")
    values = {} if prompt is None else {"prompt": prompt}
    return values if seed is None or not number else values | {"seed": seed + number}
