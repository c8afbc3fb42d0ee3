"""What is read of a response while it is forwarded, for the log."""

from dataclasses import dataclass, field
from typing import Any

from rest.gateway._requests import dicts

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
    choices: dict[int, ChoiceRecord] = field(default_factory=dict)
    _chars_left: int = MAX_OUTPUT

    @property
    def output(self) -> str | None:
        """The text of all choices, one below the other; None without any."""
        return "\n".join(text for _, choice in sorted(self.choices.items()) if (text := choice.text)) or None

    @property
    def is_cut(self) -> bool:
        """Whether the log has no room for more of the output, so that its end may be missing."""
        return self._chars_left == 0

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
        record = self.choices.get(number)
        if record is None:
            record = self.choices[number] = ChoiceRecord()
        return record


def token_count(value: Any) -> int | None:
    """A number of tokens as the log stores it; None where the value is no such number."""
    return value if isinstance(value, int) and 0 <= value < 1 << 31 else None


def _called(calls: Any) -> list[str]:
    """The names of called functions; in a stream only the first part of a call has its name."""
    functions = [call.get("function") for call in dicts(calls)]
    return [name for function in functions if isinstance(function, dict) and (name := function.get("name"))]
