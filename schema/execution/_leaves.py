"""What the values of scalars and enums become in an answer, where they are plainly what their type promises."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import Any
from uuid import UUID

from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLString,
    Undefined,
)

Values = Sequence[Any]
"""The values of one field, of many objects."""
Finish = Callable[[Values], Values]
"""Turns a field's values into what is sent; raises where one is not a plain one."""


PLAIN = frozenset({bool, bytes, date, datetime, dict, float, int, list, str, UUID})
"""Classes whose instances are neither errors nor awaitable."""


MOMENT = frozenset({datetime})
UTC_ALONE = frozenset({UTC})


class Unusual(Exception):
    """A value is not plainly what its type promises."""


@lru_cache(maxsize=1024)
def leaf(kind: GraphQLLeafType) -> Finish:
    """What a scalar's or an enum's values become; a value that takes more thought is `Unusual`."""
    if isinstance(kind, GraphQLEnumType):
        return _enum(kind)
    return BUILT_IN.get(kind) or _scalar(kind)


def all_of(classes: frozenset[type], values: Values) -> None:
    """Raise `Unusual` unless each value is an instance of one of these classes itself."""
    if not classes.issuperset(map(type, values)):
        raise Unusual


def _enum(kind: GraphQLEnumType) -> Finish:
    """A member is found by what it is: it may be a string at the same time, and equal to another enum's."""
    wrapped: Any = getattr(kind, "wrapped_cls", ())
    names = {id(it): _coerced(kind, it) for it in wrapped}
    known = {key: name for key, name in names.items() if name is not None}

    def finish(values: Values) -> Values:
        return list(map(known.__getitem__, map(id, values)))

    return finish


def _coerced(kind: GraphQLEnumType, member: Enum) -> str | None:
    try:
        return kind.coerce_output_value(member)
    except Exception:  # noqa: BLE001 - a member that the schema does not have
        return None


def _scalar(kind: GraphQLLeafType) -> Finish:
    coerce = kind.coerce_output_value

    def finish(values: Values) -> Values:
        all_of(PLAIN, values)
        coerced = list(map(coerce, values))
        if None in coerced or Undefined in coerced:
            raise Unusual
        return coerced

    return _moments(finish) if kind.name == "DateTime" else finish


def _moments(finish: Finish) -> Finish:
    """Times in UTC are left to the encoder of the answer, which writes them the same and five times as fast."""

    def as_they_are(values: Values) -> Values:
        if MOMENT.issuperset(map(type, values)) and UTC_ALONE.issuperset([it.tzinfo for it in values]):
            return values
        return finish(values)

    return as_they_are


def _plain(*classes: type) -> Finish:
    expected = frozenset(classes)

    def finish(values: Values) -> Values:
        all_of(expected, values)
        return values

    return finish


_ints, _floats = _plain(int), _plain(float)


def _in_range(values: Values) -> Values:
    if _ints(values) and not GRAPHQL_MIN_INT <= min(values) <= max(values) <= GRAPHQL_MAX_INT:
        raise Unusual
    return values


def _finite(values: Values) -> Values:
    if not all(map(isfinite, _floats(values))):
        raise Unusual
    return values


BUILT_IN: dict[GraphQLLeafType, Finish] = {
    GraphQLString: _plain(str),
    GraphQLID: _plain(str),
    GraphQLBoolean: _plain(bool),
    GraphQLInt: _in_range,
    GraphQLFloat: _finite,
}
