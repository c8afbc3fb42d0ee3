"""Bringing the database up to date: the tables, then the catalogue of base models."""

from pathlib import Path

from alembic import command
from alembic.config import Config

import migrations
from domain.base_models import CATALOGUE
from infra.db.engine import engine
from infra.db.session import SqlTransactions
from infra.queue import Enqueuer, open_queue


def config(database_url: str) -> Config:
    """Alembic's configuration; there is no ini file, so that it works from the wheel."""
    found = Config()
    found.set_main_option("script_location", str(Path(migrations.__file__).parent))
    found.set_main_option("sqlalchemy.url", database_url.replace("%", "%%"))  # % is the ini format's own
    return found


def migrate(database_url: str) -> None:
    """To the newest revision. Not inside a running event loop; several at once wait for one another."""
    command.upgrade(config(database_url), "head")


async def keep_catalogue(database_url: str) -> None:
    """Offer the base models that this version knows."""
    own = engine(database_url, size=1)
    transactions = SqlTransactions(own, Enqueuer(open_queue("")))
    try:
        async with transactions.begin() as store:
            await store.base_models.keep(CATALOGUE)
    finally:
        await own.dispose()
