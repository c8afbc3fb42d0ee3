"""`luthier migrate`."""

import asyncio

import click

from app.local.database import require_database
from app.migrations import keep_catalogue, migrate
from app.settings import DatabaseSettings, read


@click.command("migrate")
def command() -> None:
    """Bring the database up to date; several at once wait for one another."""
    settings = read(DatabaseSettings)
    asyncio.run(require_database(settings.database_url))
    migrate(settings.database_url)
    asyncio.run(keep_catalogue(settings.database_url))
