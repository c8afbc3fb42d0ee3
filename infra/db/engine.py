"""Connections to PostgreSQL: an SQLAlchemy engine for statements, a libpq string for those who listen."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

import orjson
import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.string import ByteaBinaryLoader
from sqlalchemy import event, make_url, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.ext.asyncio import AsyncSession as Session
from sqlalchemy.pool import ConnectionPoolEntry

STATEMENT_TIMEOUT_MS = 5_000
IDLE_S = 1.0
"""After how many seconds of no use a connection is asked whether it is still there."""


def _url(database_url: str) -> URL:
    """The URL with the driver that we use, whichever of the common spellings it came in."""
    return make_url(database_url).set(drivername="postgresql+psycopg")


def engine(
    database_url: str, *, size: int = 10, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> AsyncEngine:
    """An engine of at most `size` connections; use one for each event loop."""
    options = f"-c statement_timeout={statement_timeout_ms} -c timezone=UTC"
    made = create_async_engine(
        _url(database_url),
        pool_size=size,
        max_overflow=size,
        pool_reset_on_return=None,
        hide_parameters=True,  # an error names its statement, and is logged: its values are passwords and users' texts
        json_deserializer=orjson.loads,
        connect_args={"options": options, "connect_timeout": 5},
    )
    _prepare(made.sync_engine)
    return made


class UuidBytes(Loader):
    """A UUID in the text format as its bytes: to make `UUID`s of them takes as long as all else about a row."""

    def load(self, data: Buffer) -> bytes:
        """The 16 bytes."""
        return bytes.fromhex(bytes(data).decode().replace("-", ""))


@contextmanager
def reading() -> Iterator[None]:
    """Have connections that are taken meanwhile run each statement by itself, without BEGIN and COMMIT around it.

    SQLAlchemy's own `isolation_level="AUTOCOMMIT"` loses the connection when the task is cancelled meanwhile.
    """
    token = _reads.set(True)
    try:
        yield
    finally:
        _reads.reset(token)


_reads = ContextVar("reads", default=False)


def _prepare(pooled: Engine) -> None:
    """Have connections taken as they are wanted, and those replaced that were lost while nobody used them.

    `pool_pre_ping` would ask whether they are there before every use, which costs every query a trip to the database.
    One that comes back has no transaction left, for whoever begins one ends it: to have SQLAlchemy roll it back once
    more would take as long as all else about it.
    """

    def made(connection: DBAPIConnection, _: object) -> None:
        for loader in (UuidBytes, ByteaBinaryLoader):
            connection.adapters.register_loader("uuid", loader)

    def returned(_: object, record: ConnectionPoolEntry) -> None:
        record.info["returned"] = monotonic()

    def taken(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        if connection.closed:
            raise DisconnectionError
        try:
            if monotonic() - record.info.get("returned", monotonic()) >= IDLE_S:
                pooled.dialect.do_ping(connection)
            if connection.autocommit is not _reads.get():
                connection.autocommit = _reads.get()
        except psycopg.Error as error:
            raise InvalidatePoolError from error

    event.listen(pooled, "connect", made)
    event.listen(pooled, "checkin", returned)
    event.listen(pooled, "checkout", taken)


def conninfo(database_url: str) -> str:
    """The same database for libpq."""
    return _url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)


async def raw(session: Session) -> object:
    """The psycopg connection that a session's transaction runs on."""
    return (await (await session.connection()).get_raw_connection()).driver_connection


async def extend_statement_timeout(session: Session) -> None:
    """Let the statements of this transaction run as long as a write to every item of a large dataset takes."""
    await session.execute(text("set local statement_timeout = '60s'"))
