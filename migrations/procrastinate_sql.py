"""Runs Procrastinate's own migration files by name, so that none is copied here."""

from importlib.resources import files

from alembic import op

FOLDER = files("procrastinate.sql") / "migrations"


def run(*names: str) -> None:
    """Run some of the files, in order."""
    # without parameters psycopg runs many statements at once and does not interpret %
    connection = op.get_bind().execution_options(no_parameters=True)
    for name in names:
        connection.exec_driver_sql((FOLDER / name).read_text())
