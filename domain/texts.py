"""Texts as they can be kept: in UTF-8, and in PostgreSQL."""

import json
import re
from typing import Any

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """A text with what neither UTF-8 nor PostgreSQL can hold replaced: NUL and halves of surrogate pairs."""
    return UNSTORABLE.sub("\ufffd", text)


def as_text(value: Any) -> str:
    """A JSON value as an item keeps it: a string as it is, null as nothing, the rest as JSON text."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def text_problem(text: str) -> str | None:
    """What a JSON text holds that PostgreSQL cannot keep; None when it can be kept."""
    if "\x00" in text:
        return "a NUL character"
    return "half of a surrogate pair" if any("\ud800" <= it <= "\udfff" for it in text) else None
