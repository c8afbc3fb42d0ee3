"""Records the SQL statements of SQLAlchemy and of psycopg."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from psycopg import AsyncCursor

RecordedStatements = list[tuple[str, Any]]
"""Statements with their parameters."""

POOL_STATEMENTS = (
    ";",
    "select pg_catalog.version()",
    "select current_schema()",
    "show standard_conforming_strings",
)
"""The statements by which SQLAlchemy checks a connection; they are not recorded."""


@contextmanager
def recorded_statements() -> Iterator[RecordedStatements]:
    """The statements that this process starts inside the block."""
    statements: RecordedStatements = []
    execute = AsyncCursor.execute

    async def record(cursor: AsyncCursor[Any], query: Any, params: Any = None, **options: Any) -> Any:
        if query not in POOL_STATEMENTS:
            statements.append((str(query), params))
        return await execute(cursor, query, params, **options)

    with patch.object(AsyncCursor, "execute", record):
        yield statements
