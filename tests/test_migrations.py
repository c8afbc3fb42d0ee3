"""The migrations: they create the tables of `infra.db.tables`, concurrently and from any folder."""

import asyncio
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.migrations import config, migrate
from app.settings import Settings
from domain import ids
from domain.hashes import exact_fingerprint_of
from domain.ids import Noun
from infra.db.engine import engine
from infra.db.items import SqlItems
from infra.db.tables import metadata
from migrations.filters import include_name
from tests.domain.records import DATASET

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


async def created_database(settings: Settings, name: str) -> str:
    """Create an empty database; its URL."""
    url = make_url(settings.database_url)

    def create() -> None:
        server = create_engine(
            url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT", poolclass=NullPool
        )
        with server.connect() as connection:
            connection.execute(text(f"create database {name}"))

    await asyncio.to_thread(create)
    return url.set(database=name).render_as_string(hide_password=False)


async def test_three_concurrent_migrations_succeed(settings: Settings) -> None:
    address = await created_database(settings, "three_migrators")
    program = f"from app.migrations import migrate; migrate({address!r})"
    migrators = [await asyncio.create_subprocess_exec(sys.executable, "-c", program) for _ in range(3)]
    assert [await migrator.wait() for migrator in migrators] == [0, 0, 0]


ITEMS = """
insert into users (id, email, name, password_hash, current_plan, created_at)
  values (:id, 'a@example.org', 'A', '-', 'FREE', now());
insert into projects (id, owner_id, name, task_type, status, num_examples_target, max_seq_length, train_eval_split,
    created_at, updated_at)
  values (:id, :id, 'p', 'INSTRUCTION', 'ACTIVE', 1000, 512, 0.9, now(), now());
insert into datasets (id, project_id, version, name, status, origin, file_count, total_size_bytes, input_field,
    output_field, field_names, language_iso, train_share, seed, holds_out, max_tokens, created_at, updated_at)
  values (:id, :id, 1, 'd', 'DONE', 'UPLOADED', 0, 0, 'q', 'a', '{a,note,q}', 'eng', 0.9, 0, false, 512, now(), now());
insert into items (id, dataset_id, position, key, "values", deleted, split, problems, is_duplicate, token_count, origin,
    digest, fingerprint, score, created_at)
  select gen_random_uuid(), :id, number, number::text, array[answer, '', question], false, 'TRAIN', problems::jsonb,
    is_duplicate, 1, 'UPLOADED', '', convert_to(near, 'UTF8'), 0, now()
  from unnest(cast(:questions as text[]), cast(:answers as text[]), cast(:nears as text[]), cast(:problems as text[]),
    cast(:flags as boolean[])) with ordinality as row (question, answer, near, problems, is_duplicate, number)
"""
MISSING = '[{"code": "FIELD_MISSING", "message": "The field is empty."}]'
QUESTIONS = ["caf\u00e9", "cafe\u0301 ", " Caf\u00e9", "b", "b\u3000\u2003", "z"]
ANSWERS = ["1", "1\u00a0", "1", "2", "3", ""]


async def test_items_of_an_earlier_release_keep_their_problems_and_are_compared_like_new_ones(
    settings: Settings,
) -> None:
    address = await created_database(settings, "an_earlier_release")
    await asyncio.to_thread(command.upgrade, config(address), "0004")
    id = ids.new(Noun.DATASET)
    rows = {
        "questions": QUESTIONS, "answers": ANSWERS, "nears": ["x", "x", "x", "y", "w", "z"],
        "problems": ["[]"] * 5 + [MISSING], "flags": [False, True, True, False, False, False],
    }  # fmt: skip
    own = engine(address)
    try:
        async with own.begin() as connection:
            for statement in ITEMS.split(";\n"):
                await connection.execute(text(statement), {"id": ids.uuid_of(id, "ds"), **rows})
        await asyncio.to_thread(migrate, address)
        async with AsyncSession(own) as session, session.begin():
            query = "select is_valid, input_fingerprint, output_fingerprint from items order by position"
            found = list(await session.execute(text(query)))
            assert [row.is_valid for row in found] == [True, False, False, True, True, False]
            assert [row.input_fingerprint for row in found] == [
                exact_fingerprint_of(value) for value in QUESTIONS
            ]
            assert [row.output_fingerprint for row in found] == [
                exact_fingerprint_of(value) for value in ANSWERS
            ]
            await SqlItems(session).recompute(replace(DATASET, id=id))
            flags = "select is_valid, is_duplicate, is_near_duplicate, is_contradiction from items order by position"
            assert [tuple(row) for row in await session.execute(text(flags))] == [
                (True, False, False, False),
                (False, True, False, False),
                (True, False, True, False),
                (True, False, False, True),
                (True, False, False, True),
                (False, False, False, False),
            ]
    finally:
        await own.dispose()


def test_migrations_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ScriptDirectory.from_config(config("postgresql://nowhere/none")).get_heads()
