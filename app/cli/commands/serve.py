"""`luthier serve`."""

import asyncio

import click
import uvicorn

from app.asgi import application
from app.database import require_database
from app.logs import configure
from app.serving import OPTIONS, proxies
from app.settings import read_settings


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, help="The port to listen on.")
def command(host: str, port: int) -> None:
    """Run the API. Any number of processes may run at once."""
    settings = read_settings()
    asyncio.run(require_database(settings.database_url))
    uvicorn.run(
        application(settings),
        host=host,
        port=port,
        log_config=configure("api"),
        access_log=False,
        timeout_graceful_shutdown=2,  # event streams would delay the stop without a bound
        server_header=False,
        **OPTIONS,
        **proxies(settings.trusted_proxies),
    )
