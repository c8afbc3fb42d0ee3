"""Migrations of the database, and the catalog of base models in it."""

from pathlib import Path

from alembic import command
from alembic.config import Config

import migrations
from domain.base_models import CATALOG
from infra.db.engine import engine
from infra.db.transactions import SqlTransactions
from infra.queue import Enqueuer, open_queue


def config(database_url: str) -> Config:
    """Alembic's configuration, without an ini file, which a wheel would not have."""
    result = Config()
    result.set_main_option("script_location", str(Path(migrations.__file__).parent))
    result.set_main_option(
        "sqlalchemy.url", database_url.replace("%", "%%")
    )  # % is special in the ini format
    return result


def migrate(database_url: str) -> None:
    """Migrate to the newest revision. Not in a running event loop; concurrent runs wait for one another."""
    command.upgrade(config(database_url), "head")


async def store_catalog(database_url: str) -> None:
    """Write the base models of this version to the database."""
    database = engine(database_url, size=1)
    transactions = SqlTransactions(database, Enqueuer(open_queue("")))
    try:
        async with transactions.begin() as store:
            await store.base_models.upsert(CATALOG)
    finally:
        await database.dispose()
