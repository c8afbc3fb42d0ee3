"""JSON objects as parsed values, for formats whose members are messages: numbers are numbers, and key order stays."""

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from domain import exact_json
from domain.json_values import strings_in
from domain.texts import invalid_character

ESCAPED = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
"""Escapes of characters that may not be storable: NUL, and halves of surrogate pairs."""


class JsonRecord(NamedTuple):
    """An object that begins on `line`, the number of characters of its text, or why it is none (`fault`)."""

    line: int
    size: int
    members: Mapping[str, Any] = MappingProxyType({})
    fault: str | None = None


def object_record(line: int, text: str) -> JsonRecord:
    """A text as a record; with a fault where it is not one object."""
    try:
        value = exact_json.loads(text)
        fault = None if isinstance(value, dict) else f"Line {line:,} is not a JSON object."
        if fault is None and ESCAPED.search(text) and (found := _invalid_character(value)):
            fault = f"Line {line:,} contains {found}."
    except json.JSONDecodeError:
        fault = f"Line {line:,} is not JSON."
    except ValueError as error:
        fault = f"Line {line:,}: {error}"
    except RecursionError:  # JSON is read to a greater depth than its texts are looked for
        fault = f"Line {line:,}: It is nested too deeply."
    return JsonRecord(line, len(text), fault=fault) if fault else JsonRecord(line, len(text), value)


def _invalid_character(value: Any) -> str | None:
    """What cannot be stored of a value's names and texts, in words."""
    return next(filter(None, map(invalid_character, strings_in(value))), None)
