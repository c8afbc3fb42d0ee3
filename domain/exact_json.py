"""JSON whose numbers keep their text: 1.10, 1e400 and -0 are written as they were read."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, NoReturn, TypeVar

from domain.json_values import MAX_DEPTH, is_too_deep, most_levels, repeated_name

MAX_DIGITS = 1_000
"""Longer integers keep their text, for Python refuses to convert them."""

Container = TypeVar("Container", dict[str, Any], list[Any])
SEPARATORS = re.compile(r"[ \t\r\n,:]*")


@dataclass(frozen=True, slots=True)
class Number:
    """A number that Python's would write otherwise than it was read."""

    text: str


def loads(text: str) -> Any:
    """The value of a JSON text, objects in its key order; raises `ValueError` where it is none or names a key twice."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise _too_deep_error() from None


def raw_members(text: str) -> dict[str, str]:
    """The members of the object that a JSON text is, each as it is written; raises `ValueError` where it is none."""
    names = _loads_as(dict, text)
    return dict(zip(names, _raw_values(text, len(names), named=True), strict=True))


def raw_elements(text: str) -> list[str]:
    """The elements of the list that a JSON text is, each as it is written; raises `ValueError` where it is none."""
    return list(_raw_values(text, len(_loads_as(list, text)), named=False))


def _loads_as(kind: type[Container], text: str) -> Container:
    value = loads(text)
    if isinstance(value, kind):
        return value
    raise ValueError("It is another value.")


def _raw_values(text: str, count: int, *, named: bool) -> Iterator[str]:
    """The values in a list, or in an object, where they are `named`."""
    position = re.search(r"[\[{]", text).end()  # type: ignore[union-attr]  # it was read
    for _ in range(count):
        if named:
            _, position = _DECODER.raw_decode(text, _next(text, position))
        start = _next(text, position)
        _, position = _DECODER.raw_decode(text, start)
        yield text[start:position]


def _next(text: str, position: int) -> int:
    """The position of the next value, past blanks, a comma or a colon."""
    return SEPARATORS.match(text, position).end()  # type: ignore[union-attr]  # it matches any text


def dumps(value: Any) -> str:
    """The JSON text of a value, in its key order and with no escapes of non-ASCII characters.

    Raises `ValueError` for more levels than `MAX_DEPTH`, and for floats that are not finite.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except TypeError:  # it has a `Number`
        text = None
    except RecursionError:
        raise _too_deep_error() from None
    if (text is None or most_levels(text) > MAX_DEPTH) and is_too_deep(value):
        raise _too_deep_error()
    return _text_of(value) if text is None else text


def _too_deep_error() -> ValueError:
    return ValueError("It is nested too deeply.")


def _text_of(value: Any) -> str:
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        members = (f"{encode_basestring(name)}: {_text_of(member)}" for name, member in value.items())
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def integer(text: str) -> int | Number:
    """What `parse_int` of a decoder gives, so that `dumps` writes the same text."""
    return Number(text) if text == "-0" or len(text) > MAX_DIGITS else int(text)


def decimal(text: str) -> float | Number:
    """What `parse_float` of a decoder gives, so that `dumps` writes the same text."""
    value = float(text)
    return value if repr(value) == text else Number(text)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (name := repeated_name(pairs)) is not None:
        raise ValueError(f"The key '{name}' is there twice.")
    return dict(pairs)


def _refuse_constant(name: str) -> NoReturn:
    """NaN and the infinities, which Python reads but JSON does not have."""
    raise ValueError(f"{name} is not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=decimal, parse_int=integer, parse_constant=_refuse_constant
)
