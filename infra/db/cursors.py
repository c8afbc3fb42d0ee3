"""Cursors: a row's place in its list, opaque to clients, checked when it comes back."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import BigInteger, ColumnElement

from domain import ids
from domain.errors import Invalid
from infra.db.types import Id

VERSION = 2


def mark_of(viewer_id: str) -> str:
    """What ties a cursor to its viewer. No secret: who forges one names a place in a list of their own."""
    return hashlib.blake2s(viewer_id.encode(), digest_size=6).hexdigest()


def encode(list_name: str, mark: str, values: Sequence[Any]) -> str:
    """The cursor of a row of one kind of list, as one viewer is shown it."""
    parts = [VERSION, list_name, mark, *values]
    return base64.urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()


def decode(
    cursor: str, list_name: str, mark: str, columns: Sequence[ColumnElement[Any]], *, field: str
) -> list[Any]:
    """The place that a cursor names; raises `Invalid` when it is not one of this list's and this viewer's."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        version, name, made_for, *values = orjson.loads(
            base64.b64decode(padded, altchars=b"-_", validate=True)
        )
    except (ValueError, TypeError, binascii.Error):
        raise _invalid(field) from None
    if (version, name, made_for, len(values)) != (VERSION, list_name, mark, len(columns)):
        raise _invalid(field)
    if not all(_fits(value, column) for value, column in zip(values, columns, strict=True)):
        raise _invalid(field)
    return list(values)


def _fits(value: Any, column: ColumnElement[Any]) -> bool:
    """Whether a value can be compared with a column."""
    if isinstance(column.type, Id):
        return isinstance(value, str) and ids.uuid_of(value, column.type.prefix) is not None
    if column.type.python_type is int:
        bits = 63 if isinstance(column.type, BigInteger) else 31
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**bits
    return isinstance(value, str) and "\x00" not in value


def _invalid(field: str) -> Invalid:
    return Invalid("This cursor was not made by this list.", reason="INVALID_CURSOR", field=field)
