"""`luthier migrate`."""

import asyncio

import click

from app.database import require_database
from app.migrations import catalog, migrate, store_catalog
from app.settings import DatabaseSettings, read


@click.command("migrate")
def command() -> None:
    """Migrate the database to the newest revision; concurrent runs wait for one another."""
    settings = read(DatabaseSettings)
    entries = catalog(settings.model_catalogue)  # before anything is changed
    asyncio.run(require_database(settings.database_url))
    migrate(settings.database_url)
    asyncio.run(store_catalog(settings.database_url, entries))
