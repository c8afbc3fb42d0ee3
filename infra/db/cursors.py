"""Cursors: a row's place in its list, opaque to clients, checked when it comes back."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement

from domain import ids
from domain.errors import Invalid
from infra.db.types import Id

VERSION = 1


def encode(list_name: str, values: Sequence[Any]) -> str:
    """The cursor of a row of one kind of list."""
    return base64.urlsafe_b64encode(orjson.dumps([VERSION, list_name, *values])).rstrip(b"=").decode()


def decode(cursor: str, list_name: str, columns: Sequence[ColumnElement[Any]]) -> list[Any]:
    """The place that a cursor names; raises `Invalid` when it is not one of this list's."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        version, name, *values = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error):
        raise _invalid() from None
    if (version, name, len(values)) != (VERSION, list_name, len(columns)):
        raise _invalid()
    if not all(_fits(value, column) for value, column in zip(values, columns, strict=True)):
        raise _invalid()
    return list(values)


def _fits(value: Any, column: ColumnElement[Any]) -> bool:
    """Whether a value can be compared with a column."""
    if isinstance(column.type, Id):
        return isinstance(value, str) and ids.uuid_of(value, column.type.prefix) is not None
    if column.type.python_type is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, str) and "\x00" not in value


def _invalid() -> Invalid:
    return Invalid("This cursor was not made by this list.", reason="INVALID_CURSOR", field="after")
