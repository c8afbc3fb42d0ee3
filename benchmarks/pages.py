"""What a page of a long list costs, by its position in the list.

`python -m benchmarks.pages`. A dataset of a million items, and a million jobs over fifty projects of one user, in an
embedded PostgreSQL of their own. Each page is read as the API reads it, and by OFFSET for comparison, in turn.
"""

import asyncio
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from benchmarks.machine import database_environment
from benchmarks.recorded import recorded_statements
from domain import ids
from domain.ids import Noun
from domain.pages import PageRequest
from infra.db.cursors import viewer_tag_of
from infra.db.engine import conninfo, engine
from infra.db.items import SqlItems
from infra.db.jobs import SqlJobs
from infra.db.reading import Reader
from infra.db.statements import AutocommitSession, Statement
from infra.queue import Enqueuer, open_queue

ROWS = 1_000_000
SIZE = 100
PROJECTS = 50
ROUNDS = 15

INSERTS = """
insert into users (id, email, name, password_hash, current_plan, created_at)
  values ('{user}', 'a@example.org', 'A', '-', 'FREE', now()), (uuidv7(), 'b@example.org', 'B', '-', 'FREE', now());
insert into projects (id, owner_id, name, task_type, status, num_examples_target, max_seq_length, train_eval_split,
    created_at, updated_at)
  select uuidv7(), users.id, 'p', 'INSTRUCTION', 'ACTIVE', 1000, 512, 0.9, now(), now()
  from users, generate_series(1, {projects});
insert into datasets (id, project_id, version, name, status, origin, file_count, total_size_bytes, input_field,
    output_field, field_names, language_iso, train_share, seed, holds_out, max_tokens, created_at, updated_at)
  select '{dataset}', id, 1, 'd', 'DONE', 'UPLOADED', 0, 0, 'q', 'a', '{{q,a}}', 'eng', 0.9, 0, true, 512, now(), now()
  from projects where owner_id = '{user}' limit 1;
insert into items (id, dataset_id, position, key, "values", deleted, split, problems, is_duplicate, token_count, origin,
    digest, fingerprint, input_fingerprint, output_fingerprint, score, created_at)
  select uuidv7(), '{dataset}', n, n::text, array['Question ' || n || '?', 'Answer ' || n], false, 'TRAIN', '[]', false,
    12, 'UPLOADED', int8send(n), int8send(n), int8send(n), int8send(n), random(), now()
  from generate_series(1, {rows}::bigint) n;
insert into jobs (id, project_id, type, status, subject_id, progress, attempt, runner, created_at)
  select uuidv7(), numbered.id, 'DATASET_IMPORT', 'SUCCESS', 'ds_' || n, 1, 1, 'LOCAL', now()
  from generate_series(1, 2 * {rows}) n
  join (select id, row_number() over (order by id) - 1 as number from projects) numbered
    on numbered.number = n % (2 * {projects});
"""
"""Two users with equally many projects and jobs; the first one's are read."""


@dataclass(frozen=True)
class List:
    """A list of a million rows: its reader, its parent, the column of the parent, and the viewer."""

    name: str
    kind: type[Reader[Any]]
    parent: str
    by: str | None
    viewer_id: str


@dataclass(frozen=True)
class Cost:
    """The plan of a page, the blocks that PostgreSQL read, and the time until the rows arrived."""

    plan: str
    buffers: int
    median_ms: float


async def insert_rows(database: AsyncEngine) -> tuple[str, str]:
    """Insert the rows; returns the ids of the user and of the dataset."""
    user, dataset = ids.new(Noun.USER), ids.new(Noun.DATASET)
    named = {"user": ids.uuid_of(user, "user"), "dataset": ids.uuid_of(dataset, "ds")}
    for statement in INSERTS.format(**named, projects=PROJECTS, rows=ROWS).split(";\n"):
        if statement.strip():
            async with database.begin() as connection:
                await connection.execute(text(statement))
    async with database.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(
            text("vacuum analyze")
        )
    return user, dataset


def reader(of: List, database: AsyncEngine, enqueuer: Enqueuer) -> Reader[Any]:
    """The store of a list."""
    session = cast(AsyncSession, AutocommitSession(database))
    return SqlJobs(session, enqueuer) if of.kind is SqlJobs else of.kind(session)


def nodes(plan: dict[str, Any]) -> Iterator[str]:
    """The index scans of a plan, and its sorts and sequential scans of more than a page."""
    kind, index, parts = plan["Node Type"], plan.get("Index Name", ""), plan.get("Plans", ())
    sorted_rows = sum(part["Actual Rows"] * part["Actual Loops"] for part in parts) if "Sort" in kind else 0
    if "items" in index or "jobs" in index:
        yield f"{kind} {index}" + (", by its condition" if "Index Cond" in plan else ", all of it")
    if sorted_rows > SIZE + 1:
        yield f"{kind} of {sorted_rows:,.0f} rows"
    if kind == "Seq Scan" and plan["Actual Rows"] > SIZE:
        yield f"{kind} of {plan['Actual Rows']:,.0f} rows"
    for part in parts:
        yield from nodes(part)


async def explained(connection: AsyncConnection, statement: str, values: Any) -> tuple[str, int]:
    """The plan of a statement, and the blocks that it reads."""
    explain = f"explain (analyze, buffers, format json) {statement}"
    found = (await connection.exec_driver_sql(explain, values)).scalar_one()
    plan = found[0]["Plan"]
    return "; ".join(dict.fromkeys(nodes(plan))), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


async def cost(database: AsyncEngine, enqueuer: Enqueuer, of: List, page: PageRequest) -> Cost:
    """A page as the API reads it."""
    times = []
    for _ in range(ROUNDS):
        began = perf_counter()
        with recorded_statements() as statements:
            found = await reader(of, database, enqueuer).pages(
                [of.parent], page, parent_kind=of.by, viewer_id=of.viewer_id
            )
        times.append((perf_counter() - began) * 1000)
        assert len(found[of.parent].rows) == SIZE
    async with database.connect() as connection:
        plan, buffers = await explained(connection, *statements[-1])
    return Cost(plan, buffers, statistics.median(times))


async def by_offset(database: AsyncEngine, enqueuer: Enqueuer, of: List, offset: int) -> tuple[float, str]:
    """The median of the same page by OFFSET, in ms, and the last row's cursor."""
    times = []
    store = reader(of, database, enqueuer)
    rows = store.rows(of.viewer_id).limit(SIZE).offset(offset)
    rows = rows.order_by(*(column.desc() if store.newest_first else column.asc() for column in store.order))
    if of.by is not None:
        rows = rows.where(next(column for column in store.source.c if column.name == of.by) == of.parent)
    statement = Statement(rows)
    for _ in range(3):
        began = perf_counter()
        found = (await AutocommitSession(database).fetch(statement, {})).all()
        built = [store.build(row) for row in found]
        times.append((perf_counter() - began) * 1000)
        assert len(built) == SIZE
    return statistics.median(times), store.cursor(found[-1], viewer_tag_of(of.viewer_id))


async def lines(database: AsyncEngine, enqueuer: Enqueuer, of: List) -> list[str]:
    """The lines of the table for one list."""
    last = ROWS // SIZE
    found = []
    for number in (1, last // 2, last):
        after = None if number == 1 else (await by_offset(database, enqueuer, of, (number - 2) * SIZE))[1]
        measured = await cost(database, enqueuer, of, PageRequest(SIZE, after))
        peer, _ = await by_offset(database, enqueuer, of, (number - 1) * SIZE)
        found.append(line(of.name, f"{number:,}", measured, peer))
    measured = await cost(database, enqueuer, of, PageRequest(SIZE, backward=True))
    return [*found, line(of.name, "the last, from the end", measured, None)]


def line(name: str, page: str, measured: Cost, peer: float | None) -> str:
    """One line of the table."""
    other = "" if peer is None else f"{peer:.1f}"
    return (
        f"| {name} | {page} | {measured.plan} | {measured.buffers:,} | {measured.median_ms:.1f} | {other} |"
    )


async def measure() -> str:
    """Insert the rows and read the pages; returns the Markdown table."""
    async with database_environment() as variables:
        return await _table(variables["DATABASE_URL"])


async def _table(url: str) -> str:
    database = engine(url, statement_timeout_ms=600_000)
    enqueuer = Enqueuer(open_queue(conninfo(url)))
    user, dataset = await insert_rows(database)
    lists = (
        List("items of a dataset", SqlItems, dataset, "dataset_id", user),
        List(f"jobs over {PROJECTS} projects", SqlJobs, user, None, user),
    )
    head = "| list | page | found by | blocks | median ms | by OFFSET, ms |\n|---|---|---|---:|---:|---:|"
    table = [row for of in lists for row in await lines(database, enqueuer, of)]
    await database.dispose()
    return "\n".join([head, *table])


if __name__ == "__main__":
    print(asyncio.run(measure()))
