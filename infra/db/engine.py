"""Connections to PostgreSQL: an SQLAlchemy engine for statements, a libpq connection string for listeners."""

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
PING_AFTER_IDLE_S = 1.0
"""After so many seconds without use a connection is pinged before it is used again."""


def _url(database_url: str) -> URL:
    """The URL with our driver, whatever driver it names."""
    return make_url(database_url).set(drivername="postgresql+psycopg")


def engine(
    database_url: str, *, size: int = 10, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> AsyncEngine:
    """An engine of at most `size` connections; use one for each event loop."""
    options = f"-c statement_timeout={statement_timeout_ms} -c timezone=UTC"
    created = create_async_engine(
        _url(database_url),
        pool_size=size,
        max_overflow=size,
        pool_reset_on_return=None,
        hide_parameters=True,  # errors are logged with their statements, whose parameters are passwords and users' texts
        json_deserializer=orjson.loads,
        connect_args={"options": options, "connect_timeout": 5},
    )
    _register_pool_events(created.sync_engine)
    return created


class UuidBytesLoader(Loader):
    """Loads a UUID as its bytes: to make a `UUID` of it would double the time of reading a row."""

    def load(self, data: Buffer) -> bytes:
        return bytes.fromhex(bytes(data).decode().replace("-", ""))


@contextmanager
def autocommit() -> Iterator[None]:
    """Set connections that are checked out meanwhile to autocommit.

    SQLAlchemy's own `isolation_level="AUTOCOMMIT"` loses the connection when the task is cancelled meanwhile.
    """
    token = _autocommit.set(True)
    try:
        yield
    finally:
        _autocommit.reset(token)


_autocommit = ContextVar("autocommit", default=False)


def _register_pool_events(pooled: Engine) -> None:
    """Set autocommit as it is asked for, and replace connections that failed while they were idle.

    `pool_pre_ping` would ping them before every use, which costs every query a round trip. A connection that is
    returned has no open transaction, as every transaction is ended where it started, so that SQLAlchemy's ROLLBACK on
    return is not needed either.
    """

    def on_connect(connection: DBAPIConnection, _: object) -> None:
        for loader in (UuidBytesLoader, ByteaBinaryLoader):
            connection.adapters.register_loader("uuid", loader)

    def on_checkin(_: object, record: ConnectionPoolEntry) -> None:
        record.info["returned"] = monotonic()

    def on_checkout(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        if connection.closed:
            raise DisconnectionError
        try:
            if monotonic() - record.info.get("returned", monotonic()) >= PING_AFTER_IDLE_S:
                pooled.dialect.do_ping(connection)
            if connection.autocommit is not _autocommit.get():
                connection.autocommit = _autocommit.get()
        except psycopg.Error as error:
            raise InvalidatePoolError from error

    event.listen(pooled, "connect", on_connect)
    event.listen(pooled, "checkin", on_checkin)
    event.listen(pooled, "checkout", on_checkout)


def conninfo(database_url: str) -> str:
    """The connection string of a database for libpq."""
    return _url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)


async def driver_connection(session: Session) -> object:
    """The psycopg connection that a session's transaction runs on."""
    return (await (await session.connection()).get_raw_connection()).driver_connection


async def extend_statement_timeout(session: Session) -> None:
    """Raise this transaction's statement timeout to what a write to every item of a large dataset needs."""
    await session.execute(text("set local statement_timeout = '60s'"))
