"""The serialization of scalars and enums, for values of exactly the classes that their types promise."""

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
Serializer = Callable[[Values], Values]
"""Serializes a field's values; raises where one is not of the class that its type promises."""

PLAIN = frozenset({bool, bytes, date, datetime, dict, float, int, list, str, UUID})
"""Classes whose instances are neither errors nor awaitable."""
DATETIME = frozenset({datetime})
UTC_ONLY = frozenset({UTC})


class NeedsFallback(Exception):
    """A value is not of the class that its type promises: graphql-core has to execute the field."""


@lru_cache(maxsize=1024)
def leaf_serializer(kind: GraphQLLeafType) -> Serializer:
    """The serializer of a scalar or an enum."""
    if isinstance(kind, GraphQLEnumType):
        return _enum(kind)
    return BUILT_IN.get(kind) or _scalar(kind)


def require_classes(classes: frozenset[type], values: Values) -> None:
    """Raise `NeedsFallback` unless each value is an instance of one of these classes, and not of a subclass."""
    if not classes.issuperset(map(type, values)):
        raise NeedsFallback


def _enum(kind: GraphQLEnumType) -> Serializer:
    """Members are found by identity: one may be a string at the same time, and equal to another enum's."""
    members: Any = getattr(kind, "wrapped_cls", ())
    names = {id(member): _serialized(kind, member) for member in members}
    known = {identity: name for identity, name in names.items() if name is not None}

    def serialize(values: Values) -> Values:
        return list(map(known.__getitem__, map(id, values)))

    return serialize


def _serialized(kind: GraphQLEnumType, member: Enum) -> str | None:
    try:
        return kind.coerce_output_value(member)
    except Exception:  # noqa: BLE001 - a member that the schema does not have
        return None


def _scalar(kind: GraphQLLeafType) -> Serializer:
    coerce = kind.coerce_output_value

    def serialize(values: Values) -> Values:
        require_classes(PLAIN, values)
        coerced = list(map(coerce, values))
        if None in coerced or Undefined in coerced:
            raise NeedsFallback
        return coerced

    return _datetime(serialize) if kind.name == "DateTime" else serialize


def _datetime(serialize: Serializer) -> Serializer:
    """Leave times in UTC to the JSON encoder, which writes them the same and five times as fast."""

    def serialize_or_leave(values: Values) -> Values:
        if DATETIME.issuperset(map(type, values)) and UTC_ONLY.issuperset([value.tzinfo for value in values]):
            return values
        return serialize(values)

    return serialize_or_leave


def _unchanged(*classes: type) -> Serializer:
    expected = frozenset(classes)

    def serialize(values: Values) -> Values:
        require_classes(expected, values)
        return values

    return serialize


_ints, _floats = _unchanged(int), _unchanged(float)


def _int32(values: Values) -> Values:
    if _ints(values) and not GRAPHQL_MIN_INT <= min(values) <= max(values) <= GRAPHQL_MAX_INT:
        raise NeedsFallback
    return values


def _finite(values: Values) -> Values:
    if not all(map(isfinite, _floats(values))):
        raise NeedsFallback
    return values


BUILT_IN: dict[GraphQLLeafType, Serializer] = {
    GraphQLString: _unchanged(str),
    GraphQLID: _unchanged(str),
    GraphQLBoolean: _unchanged(bool),
    GraphQLInt: _int32,
    GraphQLFloat: _finite,
}
