"""Procrastinate's own migration files, run by name, so that none is copied here."""

from importlib.resources import files

from alembic import op

FOLDER = files("procrastinate.sql") / "migrations"


def run(*names: str) -> None:
    """Run some of them, in order."""
    # without parameters psycopg takes many statements at once, and % as it stands
    connection = op.get_bind().execution_options(no_parameters=True)
    for name in names:
        connection.exec_driver_sql((FOLDER / name).read_text())
