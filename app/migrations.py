"""Migrations of the database, and the catalog of base models in it."""

from pathlib import Path

from alembic import command
from alembic.config import Config

import migrations
from app.settings import SettingsError
from domain.base_models import BaseModel
from domain.use_cases import model_catalog
from infra.catalog import CatalogError, read_catalog
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


def catalog(own: Path | None) -> tuple[BaseModel, ...]:
    """The base models of this version, with those of an operator's own file over them; raises `SettingsError`."""
    try:
        return read_catalog(own)
    except CatalogError as error:
        raise SettingsError(f"MODEL_CATALOGUE is invalid: {own}, {error}") from None


async def store_catalog(database_url: str, entries: tuple[BaseModel, ...]) -> None:
    """Write the base models of the catalog to the database."""
    database = engine(database_url, size=1)
    transactions = SqlTransactions(database, Enqueuer(open_queue("")))
    try:
        async with transactions.begin() as store:
            await model_catalog.store_catalog(store, entries)
    finally:
        await database.dispose()
