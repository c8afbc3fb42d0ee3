"""JSON values of items: read strictly, so that what is stored is what every reader of JSON finds in it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import Any, NoReturn

from domain.texts import invalid_character

MAX_DEPTH = 200
"""Most levels of lists and objects within each other."""
SORTED_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def parsed_json(text: str) -> Any:
    """The value of a JSON text.

    Raises `ValueError`, whose message is a predicate ("is not JSON"), also for a name that an object has twice, numbers
    that are not finite, characters that cannot be stored, and more levels than `MAX_DEPTH`.
    """
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError:
        raise ValueError("is not JSON") from None
    except RecursionError:
        raise _too_deep_error() from None
    if most_levels(text) > MAX_DEPTH and is_too_deep(value):
        raise _too_deep_error()
    if "\\u" in text and (kind := next(filter(None, map(invalid_character, strings_in(value))), None)):
        raise ValueError(f"contains {kind}")
    return value


def strings_in(value: Any, *, names: bool = True) -> Iterator[str]:
    """The strings of a value that `parsed_json` returned, in order, with the names of members unless not `names`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            if names:
                yield name
            yield from strings_in(member, names=names)
    elif isinstance(value, list):
        for element in value:
            yield from strings_in(element, names=names)


def first_repeated(names: Iterable[str]) -> str | None:
    """The first name that stands behind itself; None where all are different. Found in linear time."""
    seen = set[str]()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]


def _too_deep_error() -> ValueError:
    return ValueError(f"is nested more than {MAX_DEPTH} levels deep")


def most_levels(text: str) -> int:
    """An upper bound of the levels of a JSON text, which is cheap to compute."""
    return text.count("{") + text.count("[")


def is_too_deep(value: Any) -> bool:
    """Whether a value has more levels than `MAX_DEPTH`; found level by level, as recursion may exhaust the stack."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer) if isinstance(inner, dict | list)]
    return bool(level)


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def repeated_name(members: Sequence[tuple[str, Any]]) -> str | None:
    """The first name of an object's members that is there more than once, cut where it is long; None where none is."""
    if len(dict(members)) == len(members):
        return None
    return (first_repeated(name for name, _ in members) or "")[:100]


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (name := repeated_name(pairs)) is not None:
        raise ValueError(f"names '{name}' twice")
    return dict(pairs)


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"has the number {text[:100]}, which is too large")
    return number


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # Python's limit of digits
        raise ValueError(f"has a number of {len(text):,} digits, which is too large") from None


def _refuse_constant(name: str) -> NoReturn:
    """NaN and the infinities, which Python reads but JSON does not have."""
    raise ValueError(f"has {name}, which is not JSON")


DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_finite, parse_int=_integer, parse_constant=_refuse_constant
)
