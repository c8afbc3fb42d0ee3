"""What the values of scalars and enums become in an answer, where they are plainly what their type promises."""

from collections.abc import Callable
from datetime import date, datetime
from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import Any, NoReturn
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

Finish = Callable[[Any], Any]
"""Turns a field's value into what is sent; raises where the value is not a plain one."""

PLAIN: frozenset[type] = frozenset({bool, bytes, date, datetime, dict, float, int, list, str, UUID})
"""Classes whose instances are neither errors nor awaitable."""


class Unusual(Exception):
    """A value is not plainly what its type promises."""


@lru_cache(maxsize=1024)
def leaf(kind: GraphQLLeafType) -> Finish:
    """What a scalar's or an enum's values become; a value that takes more thought is `Unusual`."""
    if isinstance(kind, GraphQLEnumType):
        return _enum(kind)
    return BUILT_IN.get(kind) or _scalar(kind)


def _enum(kind: GraphQLEnumType) -> Finish:
    """A member is found by what it is: it may be a string at the same time, and equal to another enum's."""
    wrapped: Any = getattr(kind, "wrapped_cls", ())
    names = {id(it): _coerced(kind, it) for it in wrapped}
    known = {key: name for key, name in names.items() if name is not None}

    def finish(value: Any) -> Any:
        return known[id(value)]

    return finish


def _coerced(kind: GraphQLEnumType, member: Enum) -> str | None:
    try:
        return kind.coerce_output_value(member)
    except Exception:  # noqa: BLE001 - a member that the schema does not have
        return None


def _scalar(kind: GraphQLLeafType) -> Finish:
    coerce = kind.coerce_output_value

    def finish(value: Any) -> Any:
        if value.__class__ not in PLAIN:
            raise Unusual
        coerced = coerce(value)
        return _unusual() if coerced is None or coerced is Undefined else coerced

    return finish


def _text(value: Any) -> Any:
    return value if value.__class__ is str else _unusual()


def _boolean(value: Any) -> Any:
    return value if value.__class__ is bool else _unusual()


def _int(value: Any) -> Any:
    return value if value.__class__ is int and GRAPHQL_MIN_INT <= value <= GRAPHQL_MAX_INT else _unusual()


def _float(value: Any) -> Any:
    return value if value.__class__ is float and isfinite(value) else _unusual()


def _unusual() -> NoReturn:
    raise Unusual


BUILT_IN: dict[GraphQLLeafType, Finish] = {
    GraphQLString: _text,
    GraphQLID: _text,
    GraphQLBoolean: _boolean,
    GraphQLInt: _int,
    GraphQLFloat: _float,
}
