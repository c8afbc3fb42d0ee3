"""`luthier worker`."""

import asyncio

import click

from app.logs import configure
from app.settings import read_settings
from app.worker import run


@click.command("worker")
def command() -> None:
    """Run a worker alone; any number may run, on any number of machines."""
    configure("worker")
    asyncio.run(run(read_settings()))
