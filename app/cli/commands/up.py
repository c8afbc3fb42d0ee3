"""`luthier up`."""

import asyncio
import os

import click

from app.local.home import chosen_home
from app.local.servers import up


@click.command("up")
@click.option("--port", default=8000, show_default=True, help="The port of the API; 0 takes a free one.")
def command(port: int) -> None:
    """Run all servers on this machine until Ctrl-C: PostgreSQL, S3, the model runtime, the API and a worker."""
    raise SystemExit(asyncio.run(up(chosen_home(), port=port, environ=os.environ, announce=_print_url)))


def _print_url(url: str) -> None:
    click.echo(
        f"Luthier is up on {url}  (GraphQL: {url}/graphql, in a browser: {url}/graphiql, stop with Ctrl-C)"
    )
