"""Connections to PostgreSQL: an SQLAlchemy engine for statements, a libpq string for those who listen."""

from sqlalchemy import make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.ext.asyncio import AsyncSession as Session

STATEMENT_TIMEOUT_MS = 5_000


def _url(database_url: str) -> URL:
    """The URL with the driver that we use, whichever of the common spellings it came in."""
    return make_url(database_url).set(drivername="postgresql+psycopg")


def engine(
    database_url: str, *, size: int = 10, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> AsyncEngine:
    """An engine of at most `size` connections; use one for each event loop."""
    options = f"-c statement_timeout={statement_timeout_ms} -c timezone=UTC"
    return create_async_engine(
        _url(database_url),
        pool_size=size,
        max_overflow=size,
        pool_pre_ping=True,
        connect_args={"options": options, "connect_timeout": 5},
    )


def conninfo(database_url: str) -> str:
    """The same database for libpq."""
    return _url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)


async def raw(session: Session) -> object:
    """The psycopg connection that a session's transaction runs on."""
    return (await (await session.connection()).get_raw_connection()).driver_connection


async def take_time(session: Session) -> None:
    """Let the statements of this transaction run as long as a write to every item of a large dataset takes."""
    await session.execute(text("set local statement_timeout = '60s'"))
