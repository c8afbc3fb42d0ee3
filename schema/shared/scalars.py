"""Custom scalars."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.schema.types.scalar import DEFAULT_SCALAR_REGISTRY
from strawberry.types.scalar import ScalarDefinition

if TYPE_CHECKING:
    JSON = Any
else:
    from strawberry.scalars import JSON


__all__ = ["JSON", "SCALARS", "BigInt"]


MAX_SAFE_INTEGER = 2**53
"""Up to here each whole number is one that a JavaScript number can hold."""
RFC_3339_DATE_TIME = "https://www.rfc-editor.org/rfc/rfc3339#section-5.6"
"""`andimarek/date-time` of scalars.graphql.org would not do: it has exactly three digits of a second, and `Z`."""
I_JSON_NUMBERS = "https://www.rfc-editor.org/rfc/rfc7493#section-2.2"
"""Recommends strings for the numbers that no double holds exactly. The published scalars `Long` are numbers throughout."""


BigInt = NewType("BigInt", int)


def _serialize(value: int) -> int | str:
    return value if abs(value) <= MAX_SAFE_INTEGER else str(value)


def _parse(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise GraphQLError("A BigInt is a whole number, or a string of one.")
    try:
        number = int(value)
    except ValueError:
        raise GraphQLError("A BigInt is a whole number, or a string of one.") from None
    if abs(number) >= 2**63:
        raise GraphQLError("A BigInt has at most 63 bits.")
    return number


SCALARS: Mapping[object, ScalarDefinition] = {
    BigInt: strawberry.scalar(
        name="BigInt",
        description="Integer of up to 63 bits: a JSON number up to 2^53, a string above; as input, either.",
        serialize=_serialize,
        parse_value=_parse,
        specified_by_url=I_JSON_NUMBERS,
    ),
    datetime: replace(
        DEFAULT_SCALAR_REGISTRY[datetime],
        description="RFC 3339 timestamp, in UTC when returned, such as "
        "`2026-01-31T12:00:00+00:00`; as input, with an offset.",
        specified_by_url=RFC_3339_DATE_TIME,
    ),
}
