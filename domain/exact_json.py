"""JSON whose numbers keep their text: 1.10, 1e400 and -0 are written as they were read."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, NoReturn, TypeVar

MAX_DEPTH = 200
"""Most levels of nesting that `dumps` writes."""
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
        raise ValueError("It is nested too deeply.") from None


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
    """The JSON text of a value, in its key order and with no escapes of non-ASCII characters; raises `ValueError`."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except TypeError:
        text = _text_of(value)
    except RecursionError:
        raise ValueError("It is nested too deeply.") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return text


def _text_of(value: Any, depth: int = 0) -> str:
    if depth > MAX_DEPTH:
        raise ValueError("It is nested too deeply.")
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        members = (
            f"{encode_basestring(name)}: {_text_of(member, depth + 1)}" for name, member in value.items()
        )
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_text_of(element, depth + 1) for element in value) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            raise ValueError("It is nested too deeply.")
        containers = [element for element in level if isinstance(element, dict | list)]
        level = [
            member
            for container in containers
            for member in (container.values() if isinstance(container, dict) else container)
        ]
        depth += 1


def integer(text: str) -> int | Number:
    """What `parse_int` of a decoder gives, so that `dumps` writes the same text."""
    return Number(text) if text == "-0" or len(text) > MAX_DIGITS else int(text)


def decimal(text: str) -> float | Number:
    """What `parse_float` of a decoder gives, so that `dumps` writes the same text."""
    value = float(text)
    return value if repr(value) == text else Number(text)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"The key '{name[:100]}' is there twice.")
    return members


def _refuse_constant(name: str) -> NoReturn:
    """NaN and the infinities, which Python reads but JSON does not have."""
    raise ValueError(f"{name} is not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=decimal, parse_int=integer, parse_constant=_refuse_constant
)
