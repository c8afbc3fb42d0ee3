"""JSON objects as parsed values, for formats whose members are messages: numbers are numbers, and key order stays."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from domain.files.json_objects import NamedTwice, members, refuse_constant
from domain.texts import invalid_character

ESCAPED = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
"""Escapes of characters that may not be storable: NUL, and halves of surrogate pairs."""


class JsonRecord(NamedTuple):
    """An object that begins on `line`, or why it is none (`fault`)."""

    line: int
    members: Mapping[str, Any] = MappingProxyType({})
    fault: str | None = None


class _NumberTooLarge(ValueError):
    """A number of the text is larger than any that JSON's readers agree on."""


def object_record(line: int, text: str) -> JsonRecord:
    """A text as a record; with a fault where it is not one object."""
    try:
        value = DECODER.decode(text)
        fault = None if isinstance(value, dict) else f"Line {line:,} is not a JSON object."
        if fault is None and ESCAPED.search(text) and (found := _invalid_character(value)):
            fault = f"Line {line:,} contains {found}."
    except NamedTwice as error:
        fault = f"Line {line:,}: the field '{error}' is named twice."
    except _NumberTooLarge:
        fault = f"Line {line:,} has a number that is too large."
    except RecursionError:
        fault = f"Line {line:,} is nested too deeply."
    except ValueError:
        fault = f"Line {line:,} is not JSON."
    return JsonRecord(line, fault=fault) if fault else JsonRecord(line, value)


def _invalid_character(value: Any) -> str | None:
    """What cannot be stored of a value's names and texts, in words."""
    return next(filter(None, map(invalid_character, _texts(value))), None)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NumberTooLarge
    return number


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _NumberTooLarge
    return int(text)


MAX_DIGITS = 1_000
DECODER = json.JSONDecoder(
    object_pairs_hook=members, parse_float=_finite, parse_int=_integer, parse_constant=refuse_constant
)
