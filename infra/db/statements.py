"""Statements that are made once and run many times: written by SQLAlchemy, run by psycopg itself.

An execution by SQLAlchemy's asyncio takes three times as long, and most of that is the same every time.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus
from sqlalchemy import Executable, Select, TypeDecorator
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlalchemy.ext.asyncio import AsyncConnection as Connection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import TypeEngine

from domain.ids import ids_of
from domain.pages import Rows
from infra.db.engine import reading
from infra.db.types import Id

Processor = Callable[[Any], Any]
Reader = Callable[[Sequence[Any]], Sequence[Any]]

DIALECT = PGDialectAsync_psycopg()  # type: ignore[no-untyped-call]


class Statement:
    """A SELECT whose parameters are named `bindparam`s."""

    def __init__(self, made: Select[Any]) -> None:
        self.made = made
        compiled = made.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
        self._sql = str(compiled)
        self._fixed: dict[str, Any] = {}
        self._given: dict[str, Processor] = {}
        for name, value in compiled.params.items():
            processor = _writer(compiled.binds.get(name))
            if name in compiled.binds and compiled.binds[name].required:
                self._given[name] = processor
            else:
                self._fixed[name] = processor(value)
        self._readers = {it.key or "": _reader(it.type) for it in made.selected_columns}

    async def run(self, connection: AsyncConnection[Any], given: Mapping[str, Any]) -> Rows:
        """What is found with these parameters."""
        values = {name: processor(given[name]) for name, processor in self._given.items()}
        cursor = connection.cursor(binary=True)
        await cursor.execute(self._sql, values | self._fixed)
        rows = await cursor.fetchall()
        return rows_of(
            (name, reader(column))
            for (name, reader), column in zip(
                self._readers.items(), columns_of(rows, self._readers), strict=True
            )
        )


def _reader(kind: TypeEngine[Any]) -> Reader:
    """What is done with a column that psycopg has read: nothing, but for types of our own."""
    if isinstance(kind, Id):
        return partial(ids_of, prefix=kind.prefix)
    one = kind.result_processor(DIALECT, None) if isinstance(kind, TypeDecorator) else None
    return (lambda column: column) if one is None else (lambda column: list(map(one, column)))


def _writer(parameter: Any) -> Processor:
    found = parameter is not None and parameter.type.dialect_impl(DIALECT).bind_processor(DIALECT)
    return found or (lambda value: value)


class Reading:
    """Runs statements, each by itself, without BEGIN and COMMIT around it; what is not a `Statement` as a session does.

    Raises what psycopg raises.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    async def fetch(self, statement: Statement, given: Mapping[str, Any]) -> Rows:
        """Run a statement, on any connection of the pool unless there is one already."""
        if self._connection is not None:
            opened: Any = await self._connection.get_raw_connection()
            return await statement.run(opened.driver_connection, given)
        with reading():
            held = await self._engine.raw_connection()
        driver: AsyncConnection[Any] = held.driver_connection  # type: ignore[assignment]
        try:
            return await statement.run(driver, given)
        finally:
            if driver.pgconn.transaction_status != TransactionStatus.IDLE:
                driver.pgconn.finish()  # it was left in the middle of something: the pool replaces it
            held.close()

    async def execute(self, select: Executable, *given: Any) -> Any:
        """Run a SELECT as a session does; raises `TypeError` for anything else, which would commit at once."""
        return await (await self._opened_for(select)).execute(select, *given)

    async def scalar(self, select: Executable, *given: Any) -> Any:
        """The first value of the first row of a SELECT."""
        return await (await self._opened_for(select)).scalar(select, *given)

    async def scalars(self, select: Executable, *given: Any) -> Any:
        """The first value of each row of a SELECT."""
        return await (await self._opened_for(select)).scalars(select, *given)

    async def _opened_for(self, statement: Executable) -> Connection:
        if not statement.is_select:
            raise TypeError("A read transaction runs no statement that writes.")
        return await self._opened()

    async def _opened(self) -> Connection:
        if self._connection is None:
            with reading():
                self._connection = await self._engine.connect().start()
        return self._connection

    async def close(self) -> None:
        """Give back what was taken, also where the task is cancelled meanwhile."""
        if self._connection is not None:
            await asyncio.shield(self._connection.close())


Query = Statement | Select[Any]


async def fetched(session: Any, query: Query, given: Mapping[str, Any]) -> Rows:
    """What a query finds in a session's transaction, or by itself."""
    if isinstance(query, Statement):
        if isinstance(session, Reading):
            return await session.fetch(query, given)
        query = query.made
    found = await session.execute(query, given)
    names = tuple(found.keys())
    return rows_of(zip(names, columns_of(found.all(), names), strict=True))


def columns_of(rows: Sequence[Any], names: Collection[str]) -> Iterable[Sequence[Any]]:
    """The columns of rows, of which there may be none."""
    return zip(*rows, strict=True) if rows else [()] * len(names)


def rows_of(columns: Iterable[tuple[str, Sequence[Any]]]) -> Rows:
    """All rows of a table."""
    named = dict(columns)
    return Rows(named, range(len(next(iter(named.values())))))
