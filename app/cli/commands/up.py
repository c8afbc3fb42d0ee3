"""`luthier up`."""

import asyncio
import os

import click

from app.local.home import chosen_home
from app.local.servers import up


@click.command("up")
@click.option("--port", default=8000, show_default=True, help="The API's port; 0 takes a free one.")
def command(port: int) -> None:
    """Start everything that one machine needs, and stay until Ctrl-C."""
    raise SystemExit(asyncio.run(up(chosen_home(), port=port, environ=os.environ, announce=_say)))


def _say(url: str) -> None:
    click.echo(
        f"Luthier is up on {url}  (GraphQL: {url}/graphql, in a browser: {url}/graphiql, stop with Ctrl-C)"
    )
