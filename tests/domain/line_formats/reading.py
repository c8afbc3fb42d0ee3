"""Reading of lines in a format, for tests."""

import json
from typing import Any

from domain.conversations import ItemFormat
from domain.import_formats import ImportFormat
from domain.line_formats.conversion import read_line
from tests.domain.line_formats.strategies import DATASETS


def read_values(format: ImportFormat, line: Any, item_format: ItemFormat) -> dict[str, Any]:
    """The values of the item that a line becomes, parsed where they are JSON; without those that are empty."""
    values = read_line(format, line, DATASETS[item_format]).values
    if item_format is ItemFormat.PROMPT_COMPLETION:
        return {name: text for name, text in values.items() if text}
    return {name: json.loads(text) for name, text in values.items() if text}


def user(content: str) -> dict[str, Any]:
    """A message of a user."""
    return {"role": "user", "content": content}


def system(content: str) -> dict[str, Any]:
    """A system message."""
    return {"role": "system", "content": content}


def assistant(content: str, **keys: Any) -> dict[str, Any]:
    """A message of an assistant."""
    return {"role": "assistant", "content": content, **keys}


def calling(*calls: tuple[str, str, str]) -> dict[str, Any]:
    """A message that calls tools: the id, the name and the arguments of each call."""
    found = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id, name, arguments in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": found}


def result(id: str, content: str, **keys: Any) -> dict[str, Any]:
    """The result of a tool."""
    return {"role": "tool", "tool_call_id": id, "content": content, **keys}
