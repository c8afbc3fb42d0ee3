"""Alembic's environment: a transaction for each revision, one migrator at a time, no long waits for a lock."""

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import NullPool, create_engine, make_url, text

from infra.db.tables import metadata
from infra.db.types import AnyId, Id, Json, Name, Texts
from migrations.filters import include_name

ADVISORY_LOCK = 4_839_201_377  # any number, as long as every migrator uses the same


def render_item(_kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """Our column types as what the database sees, so that a migration does not change when they do."""
    match item:
        case Id():
            return "sa.Uuid()"
        case AnyId() | Name():
            return "sa.Text()"
        case Texts():
            return "sa.ARRAY(sa.Text())"
        case Json():
            context.imports.add("from sqlalchemy.dialects import postgresql")
            return "postgresql.JSONB(astext_type=sa.Text())"
    return False


def run() -> None:
    """Run the migrations."""
    url = make_url(context.config.get_main_option("sqlalchemy.url") or "").set(
        drivername="postgresql+psycopg"
    )
    with create_engine(url, poolclass=NullPool).connect() as connection:
        connection.execute(text(f"select pg_advisory_lock({ADVISORY_LOCK})"))  # until it is closed
        connection.execute(text("set lock_timeout = '10s'"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=metadata,
            include_name=include_name,
            render_item=render_item,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
