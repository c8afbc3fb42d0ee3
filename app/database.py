"""A check that the database of DATABASE_URL answers, before a command uses it."""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from app.failures import StartError

CONNECT_TIMEOUT_S = 5
UNREADABLE = (
    "DATABASE_URL cannot be read: it is postgresql://user:password@host:port/name, "
    "with what is neither a letter nor a digit percent-encoded (%40 for @)"
)


async def require_database(url: str) -> None:
    """Raise `StartError`, never with the password in it, where no database answers within `CONNECT_TIMEOUT_S`."""
    try:
        connection = await psycopg.AsyncConnection.connect(_readable(url), connect_timeout=CONNECT_TIMEOUT_S)
    except (psycopg.Error, UnicodeError) as error:  # UnicodeError: an invalid host name
        reason = " ".join(str(error).split())
        raise StartError(f"the database of DATABASE_URL does not answer: {reason}") from None
    await connection.close()


def _readable(url: str) -> str:
    """The URL without a driver, as libpq reads it; raises `StartError` where libpq's own message would quote a password."""
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise StartError("DATABASE_URL must begin with postgresql://")
    plain = f"postgresql://{rest}"
    try:
        parts = conninfo_to_dict(plain)
    except psycopg.Error:
        raise StartError(UNREADABLE) from None
    if _has_password_elsewhere({name: str(value) for name, value in parts.items()}):
        raise StartError(UNREADABLE)
    return plain


def _has_password_elsewhere(parts: dict[str, str]) -> bool:
    """Whether an unquoted @ or / split the password, so that the host, port or name has a part of it."""
    port = parts.get("port", "").replace(",", "")
    return "@" in parts.get("host", "") + parts.get("dbname", "") or (port != "" and not port.isdigit())
