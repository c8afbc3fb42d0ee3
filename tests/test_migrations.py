"""The migrations: they create the tables of `infra.db.tables`, concurrently and from any folder."""

import asyncio
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine, make_url, text

from app.migrations import config
from app.settings import Settings
from infra.db.tables import metadata
from migrations.filters import include_name

pytestmark = pytest.mark.anyio


def test_every_migration_of_procrastinate_is_in_one_of_ours() -> None:
    revisions = ScriptDirectory.from_config(config("postgresql://nowhere/none")).walk_revisions()
    included = [name for revision in revisions for name in getattr(revision.module, "PROCRASTINATE", [])]
    packaged = files("procrastinate.sql") / "migrations"
    assert sorted(included) == sorted(file.name for file in packaged.iterdir() if file.name.endswith(".sql"))


async def test_the_newest_revision_equals_the_tables(settings: Settings) -> None:
    def difference() -> list[object]:
        url = make_url(settings.database_url).set(drivername="postgresql+psycopg")
        with create_engine(url, poolclass=NullPool).connect() as connection:
            options = {"include_name": include_name, "compare_type": True}
            return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    assert await asyncio.to_thread(difference) == []


async def test_three_concurrent_migrations_succeed(settings: Settings) -> None:
    url = make_url(settings.database_url)
    own = url.set(database="three_migrators")

    def create() -> None:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT", poolclass=NullPool
        )
        with engine.connect() as connection:
            connection.execute(text("create database three_migrators"))

    await asyncio.to_thread(create)
    address = own.render_as_string(hide_password=False)
    program = f"from app.migrations import migrate; migrate({address!r})"
    migrators = [await asyncio.create_subprocess_exec(sys.executable, "-c", program) for _ in range(3)]
    assert [await migrator.wait() for migrator in migrators] == [0, 0, 0]


def test_migrations_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ScriptDirectory.from_config(config("postgresql://nowhere/none")).get_heads()
