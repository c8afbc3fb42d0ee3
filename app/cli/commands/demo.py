"""`luthier demo`."""

from pathlib import Path

import click

from app.cli.commands.tune import KEEP, PORT, run
from app.cli.main_job import Order

PLACES = (Path(__file__).parents[3] / "examples", Path(__file__).parents[2] / "examples")
"""Where the table is in a checkout, and in an installed package."""


@click.command("demo")
@PORT
@KEEP
def command(port: int | None, keep: bool) -> None:
    """The main job on the capitals of the world, and three questions."""
    file = next(it / "capitals.csv" for it in PLACES if it.exists())
    run(Order(file=file, name="capitals"), port=port, keep=keep, questions=True)
