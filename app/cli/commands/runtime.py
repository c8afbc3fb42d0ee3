"""`luthier runtime`, which `luthier up` starts."""

import asyncio

import click
import httpx

from app.logs import configure
from app.settings import RuntimeSettings, read
from app.storage import storage_of
from infra.runtime.server import serve


@click.command("runtime", hidden=True)
def command() -> None:
    """Run the embedded model runtime."""
    configure("runtime")
    settings = read(RuntimeSettings)
    port = httpx.URL(settings.luthier_runtime_url).port or 0
    token, folder = settings.luthier_runtime_token, settings.loaded_folder
    asyncio.run(serve(port, token, storage_of(settings), folder))
