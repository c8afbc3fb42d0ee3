"""The check that DATABASE_URL names a database that answers, before anything is begun with it."""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from app.local.supervisor import StartError

ANSWER_S = 5
UNREADABLE = (
    "DATABASE_URL cannot be read: it is postgresql://user:password@host:port/name, "
    "with what is neither a letter nor a digit percent-encoded (%40 for @)"
)


async def require_database(url: str) -> None:
    """Raises StartError, which never has the password in it, where no database answers within seconds."""
    try:
        connection = await psycopg.AsyncConnection.connect(_readable(url), connect_timeout=ANSWER_S)
    except (psycopg.Error, UnicodeError) as error:  # a name that is none of a host is the latter
        why = " ".join(str(error).split())
        raise StartError(f"the database of DATABASE_URL does not answer: {why}") from None
    await connection.close()


def _readable(url: str) -> str:
    """The URL without the name of a driver, as libpq reads it; what it would quote back is refused here."""
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
    """Whether an @ or a / of the password was taken for the end of it: the rest is in another part then."""
    port = parts.get("port", "").replace(",", "")
    return "@" in parts.get("host", "") + parts.get("dbname", "") or (port != "" and not port.isdigit())
