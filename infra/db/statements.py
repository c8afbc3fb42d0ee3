"""Statements that are compiled once and executed many times: by SQLAlchemy, and by psycopg itself.

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
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.types import TypeEngine
from sqlalchemy.util import greenlet_spawn

from domain.ids import ids_of
from domain.pages import Rows
from infra.db.engine import autocommit
from infra.db.types import Id

BindProcessor = Callable[[Any], Any]
ColumnProcessor = Callable[[Sequence[Any]], Sequence[Any]]

DIALECT = PGDialectAsync_psycopg()  # type: ignore[no-untyped-call]


class Statement:
    """A compiled SELECT whose parameters are named `bindparam`s."""

    def __init__(self, select: Select[Any]) -> None:
        self.select = select
        compiled = select.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
        self._sql = str(compiled)
        self._constants: dict[str, Any] = {}
        self._bind_processors: dict[str, BindProcessor] = {}
        for name, value in compiled.params.items():
            processor = _bind_processor(compiled.binds.get(name))
            if name in compiled.binds and compiled.binds[name].required:
                self._bind_processors[name] = processor
            else:
                self._constants[name] = processor(value)
        self._column_processors = {
            column.key or "": _column_processor(column.type) for column in select.selected_columns
        }

    async def run(self, connection: AsyncConnection[Any], parameters: Mapping[str, Any]) -> Rows:
        """The rows for these parameters."""
        values = {name: processor(parameters[name]) for name, processor in self._bind_processors.items()}
        cursor = connection.cursor(binary=True)
        await cursor.execute(self._sql, values | self._constants)
        columns = _transposed(await cursor.fetchall(), self._column_processors)
        return _rows_of(
            (name, process(column))
            for (name, process), column in zip(self._column_processors.items(), columns, strict=True)
        )


def _column_processor(type_: TypeEngine[Any]) -> ColumnProcessor:
    """What is done with a column that psycopg has read: nothing, except for types of our own."""
    if isinstance(type_, Id):
        return partial(ids_of, prefix=type_.prefix)
    process = type_.result_processor(DIALECT, None) if isinstance(type_, TypeDecorator) else None
    return (lambda column: column) if process is None else (lambda column: list(map(process, column)))


def _bind_processor(parameter: Any) -> BindProcessor:
    processor = parameter is not None and parameter.type.dialect_impl(DIALECT).bind_processor(DIALECT)
    return processor or (lambda value: value)


class AutocommitSession:
    """Runs statements without BEGIN and COMMIT; what is not a `Statement` as SQLAlchemy's session does.

    Raises what psycopg raises.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    async def fetch(self, statement: Statement, parameters: Mapping[str, Any]) -> Rows:
        """Run a statement, on any connection of the pool unless this session has one already."""
        if self._connection is not None:
            pooled: Any = await self._connection.get_raw_connection()
            return await statement.run(pooled.driver_connection, parameters)
        with autocommit():
            connection = await self._engine.raw_connection()
        driver: AsyncConnection[Any] = connection.driver_connection  # type: ignore[assignment]
        try:
            return await statement.run(driver, parameters)
        finally:
            if driver.pgconn.transaction_status != TransactionStatus.IDLE:
                driver.pgconn.finish()  # the statement was cancelled: the pool replaces the connection
            await self._release(connection)

    async def _release(self, connection: PoolProxiedConnection) -> None:
        """Return a connection to the pool, which closes those beyond its size; that takes a greenlet of SQLAlchemy's."""
        pool: Any = self._engine.sync_engine.pool
        if pool.checkedin() < pool.size():
            connection.close()
        else:
            await asyncio.shield(greenlet_spawn(connection.close))

    async def execute(self, select: Executable, *parameters: Any) -> Any:
        """Run a SELECT as a session does; raises `TypeError` for anything else, which would commit at once."""
        return await (await self._connect_for(select)).execute(select, *parameters)

    async def scalar(self, select: Executable, *parameters: Any) -> Any:
        """The first value of the first row of a SELECT."""
        return await (await self._connect_for(select)).scalar(select, *parameters)

    async def scalars(self, select: Executable, *parameters: Any) -> Any:
        """The first value of each row of a SELECT."""
        return await (await self._connect_for(select)).scalars(select, *parameters)

    async def _connect_for(self, statement: Executable) -> Connection:
        if not statement.is_select:
            raise TypeError("A read transaction runs no statement that writes.")
        if self._connection is None:
            with autocommit():
                self._connection = await self._engine.connect().start()
        return self._connection

    async def close(self) -> None:
        """Return the connection to the pool, also where the task is cancelled meanwhile."""
        if self._connection is not None:
            await asyncio.shield(self._connection.close())


Query = Statement | Select[Any]


async def fetch_rows(session: Any, query: Query, parameters: Mapping[str, Any]) -> Rows:
    """The rows of a query, in the session's transaction if it has one."""
    if isinstance(query, Statement):
        if isinstance(session, AutocommitSession):
            return await session.fetch(query, parameters)
        query = query.select
    result = await session.execute(query, parameters)
    names = tuple(result.keys())
    return _rows_of(zip(names, _transposed(result.all(), names), strict=True))


def _transposed(rows: Sequence[Any], names: Collection[str]) -> Iterable[Sequence[Any]]:
    """The columns of rows, of which there may be none."""
    return zip(*rows, strict=True) if rows else [()] * len(names)


def _rows_of(columns: Iterable[tuple[str, Sequence[Any]]]) -> Rows:
    named = dict(columns)
    return Rows(named, range(len(next(iter(named.values())))))
