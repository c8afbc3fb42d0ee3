"""`luthier worker`."""

import asyncio

import click

from app.database import require_database
from app.logs import configure
from app.settings import read_settings
from app.work_folder import use_work_folder
from app.worker import run


@click.command("worker")
def command() -> None:
    """Run a worker. Any number may run at once, on any number of machines."""
    settings = read_settings()
    asyncio.run(require_database(settings.database_url))
    configure("worker")
    with use_work_folder(settings.work_folder):
        asyncio.run(run(settings))
