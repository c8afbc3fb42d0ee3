"""The statements that run meanwhile, whoever runs them: SQLAlchemy or psycopg by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from psycopg import AsyncCursor

Noted = list[tuple[str, Any]]
"""Statements with their parameters."""

OF_A_POOL = (
    ";",
    "select pg_catalog.version()",
    "select current_schema()",
    "show standard_conforming_strings",
)
"""What SQLAlchemy asks of a connection that is new, or was not used for a while."""


@contextmanager
def noted() -> Iterator[Noted]:
    """The statements of this process that begin before the block ends; not those that keep a pool."""
    seen: Noted = []
    execute = AsyncCursor.execute

    async def note(cursor: AsyncCursor[Any], query: Any, params: Any = None, **options: Any) -> Any:
        if query not in OF_A_POOL:
            seen.append((str(query), params))
        return await execute(cursor, query, params, **options)

    with patch.object(AsyncCursor, "execute", note):
        yield seen
