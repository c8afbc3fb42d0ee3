"""What the scripted model answers to a request: a text, calls of tools, or JSON. The same request, the same answer."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.interop.schema_values import QUOTED, ValueMaker

TOKEN = re.compile(r"\s*\S+|\s+$")
"""The scripted model counts a word with the space before it as one token."""
KNOWN = {"What is the capital of Japan?": "The capital of Japan is Tokyo."}
"""Answers to the questions of the documentation."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool, whose arguments are JSON."""

    id: str
    name: str
    arguments: str

    @property
    def json(self) -> dict[str, Any]:
        """The call as a message has it."""
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """The text or the tool calls of one choice."""

    tokens: list[str] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    finish_reason: str = "stop"

    @property
    def text(self) -> str:
        """The text; empty beside tool calls."""
        return "".join(self.tokens)

    @property
    def token_count(self) -> int:
        """The number of tokens, where those of the arguments count too."""
        return len(self.tokens) + sum(len(TOKEN.findall(call.arguments)) for call in self.tool_calls)


def chat_answer(request: dict[str, Any]) -> Answer:
    """The answer to a chat request."""
    last = request["messages"][-1]
    text = text_of(last)
    if tools := _tools_to_call(request, text):
        calls = [_call(tool, text, request) for tool in tools]
        return Answer(tool_calls=calls, finish_reason="tool_calls")
    if (wanted := request.get("response_format") or {}).get("type", "text") != "text":
        return _limited(json.dumps(_json(wanted, text), ensure_ascii=False), request)
    if text in KNOWN:
        return _limited(KNOWN[text], request)
    prefix = "The tool returned:" if last["role"] == "tool" else "You wrote:"
    return _limited(f"{prefix} {text}", request)


def completion_answer(request: dict[str, Any], prompt: str) -> Answer:
    """The answer to a request of the legacy endpoint."""
    return _limited(f" and so on after {prompt}", request)


def text_of(message: dict[str, Any]) -> str:
    """The text of a message, whose content is text or a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part.get("type") == "text")


def _limited(text: str, request: dict[str, Any]) -> Answer:
    """The text up to the first stop sequence and the largest number of tokens."""
    stops = request.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0]
    tokens = TOKEN.findall(text)
    limit = request.get("max_completion_tokens") or request.get("max_tokens") or len(tokens)
    return Answer(tokens[:limit], finish_reason="length" if limit < len(tokens) else "stop")


def _tools_to_call(request: dict[str, Any], text: str) -> list[dict[str, Any]]:
    """The functions that the model calls; none where it answers with text."""
    functions = [tool["function"] for tool in request.get("tools") or ()]
    choice = request.get("tool_choice") or "auto"
    if isinstance(choice, dict):
        return [function for function in functions if function["name"] == choice["function"]["name"]]
    if not functions or choice == "none":
        return []
    called = {call["function"]["name"] for message in request["messages"] for call in _calls(message)}
    mentioned = [function for function in functions if _is_mentioned(function["name"], text)]
    if choice == "required":
        uncalled = [function for function in functions if function["name"] not in called]
        candidates = [function for function in mentioned if function in uncalled] or uncalled or functions
        return candidates[:1]
    if request["messages"][-1]["role"] == "tool":
        return []
    return mentioned if request.get("parallel_tool_calls", True) else mentioned[:1]


def _calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    return message.get("tool_calls") or []


def _is_mentioned(name: str, text: str) -> bool:
    """Whether a word of a function's name, such as `weather` of `get_weather`, is in the text."""
    words = {word for word in re.split(r"[_\W]+", name.lower()) if len(word) > 3}
    return not words.isdisjoint(re.split(r"[_\W]+", text.lower()))


def _call(function: dict[str, Any], text: str, request: dict[str, Any]) -> ToolCall:
    schema = function.get("parameters") or {}
    values = ValueMaker(text, schema).value(schema | {"type": "object"})
    arguments = json.dumps(values, ensure_ascii=False)
    seed = f"{len(request['messages'])} {function['name']} {arguments}"
    return ToolCall(f"call_{hashlib.sha256(seed.encode()).hexdigest()[:24]}", function["name"], arguments)


def _json(response_format: dict[str, Any], text: str) -> Any:
    """The value of a structured output; in JSON mode an object with the quoted words of the prompt as its keys."""
    if response_format["type"] == "json_schema":
        schema = response_format["json_schema"]["schema"]
        return ValueMaker(text, schema).value(schema)
    return dict.fromkeys(QUOTED.findall(text) or ["answer"], text)
