"""Which format the objects of a file are in, by the keys and shapes of the first ones."""

from collections.abc import Callable, Sequence
from typing import Any

from domain.conversations import ItemFormat
from domain.import_formats import ImportFormat
from domain.line_formats.lines import Line
from domain.line_formats.openai import ANSWERS, PREFERRED

Formats = tuple[ImportFormat, ItemFormat]

CONVERSATION, PREFERENCE = ItemFormat.CONVERSATION, ItemFormat.PREFERENCE


def detect(lines: Sequence[Line]) -> Formats | None:
    """The format of the first line that is in one, and what the lines are; None where the file is a plain table.

    Where later lines are in another format, reading them in this one says so. A prompt and a completion that are
    texts are the columns of a plain table.
    """
    found = next(filter(None, map(_formats_of, lines)), None)
    if found == (ImportFormat.ALPACA, ItemFormat.PROMPT_COMPLETION) and any(map(_has_context, lines)):
        return ImportFormat.ALPACA, CONVERSATION
    return found


def _formats_of(line: Line) -> Formats | None:
    if "chosen" in line and "rejected" in line:
        return _format_of_preference(line), PREFERENCE
    if isinstance(line.get("messages"), list):
        is_trl = any(map(_is_trl_message, line["messages"]))
        return ImportFormat.TRL if is_trl else ImportFormat.OPENAI, CONVERSATION
    return next((formats for formats, is_so in SHAPES if is_so(line)), None)


def _format_of_preference(line: Line) -> ImportFormat:
    if isinstance(line.get("conversations"), list):
        return ImportFormat.SHAREGPT
    return ImportFormat.ALPACA if "instruction" in line else ImportFormat.TRL


def _has_context(line: Line) -> bool:
    """Whether a line of Alpaca's has more than a question and its answer."""
    return any(line.get(name) for name in ("system", "history", "tools"))


def _is_trl_message(message: Any) -> bool:
    """Whether a message has tool calls without ids or with arguments as objects, or answers a call without its id."""
    if not isinstance(message, dict):
        return False
    if message.get("role") == "tool":
        return "tool_call_id" not in message
    calls = message.get("tool_calls")
    return isinstance(calls, list) and any(map(_is_trl_call, calls))


def _is_trl_call(call: Any) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    return isinstance(function, dict) and ("id" not in call or isinstance(function.get("arguments"), dict))


def _has(line: Line, name: str, kind: type) -> bool:
    return isinstance(line.get(name), kind)


SHAPES: Sequence[tuple[Formats, Callable[[Line], bool]]] = (
    ((ImportFormat.SHAREGPT, CONVERSATION), lambda line: _has(line, "conversations", list)),
    (
        (ImportFormat.OPENAI, PREFERENCE),
        lambda line: _has(line, "input", dict) and any(name in line for name in (*ANSWERS, *PREFERRED)),
    ),
    (
        (ImportFormat.ALPACA, ItemFormat.PROMPT_COMPLETION),
        lambda line: _has(line, "instruction", str) and _has(line, "output", str),
    ),
    (
        (ImportFormat.TRL, CONVERSATION),
        lambda line: _has(line, "prompt", list) or ("prompt" in line and _has(line, "label", bool)),
    ),
)
"""Of lines that are no pairs in other formats than OpenAI's, and have no `messages`."""
