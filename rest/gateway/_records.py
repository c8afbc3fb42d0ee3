"""What is read of a response while it is forwarded: for the log, and for what the request required of it."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from rest.gateway._requests import GatewayRequest, dicts

MAX_OUTPUT = 1 << 20
"""Characters of the output that are logged."""


@dataclass(slots=True)
class ChoiceRecord:
    """One choice of a response. `tools` are the names of the functions that it calls."""

    texts: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    finish: str | None = None

    @property
    def text(self) -> str:
        """Its text so far."""
        return "".join(self.texts)


@dataclass(slots=True)
class CompletionRecord:
    """What is logged of a response."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish: str | None = None
    error: Any = None
    has_text: bool = False
    _choices: dict[int, ChoiceRecord] = field(default_factory=dict)
    _chars_left: int = MAX_OUTPUT

    @property
    def output(self) -> str | None:
        """The text of all choices, one below the other; None without any."""
        return "\n".join(text for _, choice in sorted(self._choices.items()) if (text := choice.text)) or None

    def add(self, part: dict[str, Any]) -> None:
        """Read a whole response or one event."""
        if part.get("error"):
            self.error = part["error"]
        for choice in dicts(part.get("choices")):
            self._add_choice(choice)
        usage = part.get("usage")
        if isinstance(usage, dict):
            self.prompt_tokens = token_count(usage.get("prompt_tokens"))
            self.completion_tokens = token_count(usage.get("completion_tokens"))

    def problem(self, request: GatewayRequest) -> str | None:
        """What the request required and the finished response lacks, as a sentence; None where nothing is lacking."""
        if not (request.wants_json or request.requires_tool):
            return None
        problems = (self._choice_problem(request, choice) for choice in self._choices.values())
        return next((problem for problem in problems if problem), None)

    def _add_choice(self, choice: dict[str, Any]) -> None:
        record = self._record_of(choice.get("index"))
        message = choice.get("delta") or choice.get("message")
        text = choice.get("text")
        if isinstance(message, dict):
            text = text or message.get("content")
            if calls := message.get("tool_calls"):
                record.tools += _called(calls)
        if isinstance(text, str) and text:
            self.has_text = True
            logged = text[: self._chars_left]
            self._chars_left -= len(logged)
            record.texts.append(logged)
        if isinstance(finish := choice.get("finish_reason"), str):
            self.finish = record.finish = finish

    def _record_of(self, index: Any) -> ChoiceRecord:
        number = index if isinstance(index, int) else 0
        record = self._choices.get(number)
        if record is None:
            record = self._choices[number] = ChoiceRecord()
        return record

    def _choice_problem(self, request: GatewayRequest, choice: ChoiceRecord) -> str | None:
        is_cut = choice.finish in {"length", "content_filter"} or self._chars_left == 0
        if request.requires_tool:
            return _tool_problem(request.required_tool, choice, is_cut=is_cut)
        if choice.tools or is_cut or _is_json(choice.text):
            return None
        return "The model's answer is not JSON, which `response_format` requires."


def token_count(value: Any) -> int | None:
    """A number of tokens as the log stores it; None where the value is no such number."""
    return value if isinstance(value, int) and 0 <= value < 1 << 31 else None


def _called(calls: Any) -> list[str]:
    """The names of called functions; in a stream only the first part of a call has its name."""
    functions = [call.get("function") for call in dicts(calls)]
    return [name for function in functions if isinstance(function, dict) and (name := function.get("name"))]


def _tool_problem(name: str | None, choice: ChoiceRecord, *, is_cut: bool) -> str | None:
    if not choice.tools:
        return (
            None if is_cut and not choice.text else "The model called no tool, which `tool_choice` requires."
        )
    if name is not None and set(choice.tools) != {name}:
        return f"The model called {choice.tools[0]}, while `tool_choice` requires {name}."
    return None


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
