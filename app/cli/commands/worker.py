"""`luthier worker`."""

import asyncio

import click

from app.local.database import require_database
from app.logs import configure
from app.settings import read_settings
from app.work_folder import swept
from app.worker import run


@click.command("worker")
def command() -> None:
    """Run a worker alone; any number may run, on any number of machines."""
    settings = read_settings()
    asyncio.run(require_database(settings.database_url))
    configure("worker")
    with swept(settings.work_folder):
        asyncio.run(run(settings))
