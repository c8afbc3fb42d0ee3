"""Columns by the fields of records."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from sqlalchemy import Column, ColumnElement, Table

from infra.db.tables import projects
from infra.db.types import Json


def record_columns(record: type, table: Table) -> "list[Column[Any]]":
    """The columns of a dataclass's fields; of its project's where the table has none of that name."""
    return [
        table.c[field.name] if field.name in table.c else projects.c[field.name] for field in fields(record)
    ]


def column_names(columns: Iterable[ColumnElement[Any]], *excluded: str) -> frozenset[str]:
    """The names of columns, except for some and for those of records, which are presented by types of their own."""
    names = (column.key or "" for column in columns if not isinstance(column.type, Json))
    return frozenset(names) - frozenset(excluded)
