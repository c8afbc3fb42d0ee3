"""`luthier demo`."""

from pathlib import Path

import click

from app.cli.commands.tune import KEEP, PORT, run
from app.cli.table_steps import TuneOptions

FOLDERS = (Path(__file__).parents[3] / "examples", Path(__file__).parents[2] / "examples")
"""The folder of the table in a checkout, and in an installed package."""


@click.command("demo")
@PORT
@KEEP
def command(port: int | None, keep: bool) -> None:
    """Fine-tune a model on the capitals of the world, and ask it three questions."""
    file = next(folder / "capitals.csv" for folder in FOLDERS if folder.exists())
    run(TuneOptions(file=file, name="capitals"), port=port, keep=keep, questions=True)
