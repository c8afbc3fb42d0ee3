"""The command line: `luthier --help`."""

from app.cli._main import main

__all__ = ["main"]
