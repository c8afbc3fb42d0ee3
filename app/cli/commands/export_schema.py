"""`luthier export-schema`."""

import click

from schema.root import schema


@click.command("export-schema")
def command() -> None:
    """Print the GraphQL schema."""
    click.echo(schema.as_str())
