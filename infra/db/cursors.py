"""Cursors: the position of a row in its list, opaque to clients, validated when it comes back."""

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


def viewer_tag_of(viewer_id: str) -> str:
    """What binds a cursor to its viewer. It is no secret: a forged cursor is a position in the forger's own list."""
    return hashlib.blake2s(viewer_id.encode(), digest_size=6).hexdigest()


def encode(list_name: str, viewer_tag: str, values: Sequence[Any]) -> str:
    """The cursor of a row; `values` are those of the columns that its list is sorted by."""
    parts = [VERSION, list_name, viewer_tag, *values]
    return base64.urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()


def decode(
    cursor: str, list_name: str, viewer_tag: str, columns: Sequence[ColumnElement[Any]], *, field: str
) -> list[Any]:
    """The values in a cursor; raises `Invalid` when it is of another list or another viewer."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        version, name, tag, *values = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error):
        raise _invalid_error(field) from None
    if (version, name, tag, len(values)) != (VERSION, list_name, viewer_tag, len(columns)):
        raise _invalid_error(field)
    if not all(_fits(value, column) for value, column in zip(values, columns, strict=True)):
        raise _invalid_error(field)
    return list(values)


def _fits(value: Any, column: ColumnElement[Any]) -> bool:
    """Whether a value can be compared with a column."""
    if isinstance(column.type, Id):
        return isinstance(value, str) and ids.uuid_of(value, column.type.prefix) is not None
    if column.type.python_type is int:
        bits = 63 if isinstance(column.type, BigInteger) else 31
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**bits
    return isinstance(value, str) and "\x00" not in value


def _invalid_error(field: str) -> Invalid:
    return Invalid("This cursor does not belong to this list.", reason="INVALID_CURSOR", field=field)
