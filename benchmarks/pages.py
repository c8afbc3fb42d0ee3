"""What a page of a long list costs, by how deep in the list it lies.

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

from benchmarks.machine import stage
from benchmarks.noted import noted
from domain import ids
from domain.ids import Noun
from domain.pages import Page
from infra.db.cursors import mark_of
from infra.db.engine import conninfo, engine
from infra.db.items import SqlItems
from infra.db.jobs import SqlJobs
from infra.db.reading import Reader
from infra.db.statements import Reading, Statement
from infra.queue import Enqueuer, open_queue

ROWS = 1_000_000
SIZE = 100
PROJECTS = 50
ROUNDS = 15

PLANT = """
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
    digest, fingerprint, score, created_at)
  select uuidv7(), '{dataset}', n, n::text, array['Question ' || n || '?', 'Answer ' || n], false, 'TRAIN', '[]', false,
    12, 'UPLOADED', int8send(n), int8send(n), random(), now()
  from generate_series(1, {rows}::bigint) n;
insert into jobs (id, project_id, type, status, subject_id, progress, attempt, runner, created_at)
  select uuidv7(), numbered.id, 'DATASET_IMPORT', 'SUCCESS', 'ds_' || n, 1, 1, 'LOCAL', now()
  from generate_series(1, 2 * {rows}) n
  join (select id, row_number() over (order by id) - 1 as number from projects) numbered
    on numbered.number = n % (2 * {projects});
"""
"""Two users have as many projects and jobs; what is measured is the first one's."""


@dataclass(frozen=True)
class List:
    """A list of a million rows: who reads it, of which parent, and its rows in SQL."""

    name: str
    kind: type[Reader[Any]]
    parent: str
    by: str | None
    viewer_id: str


@dataclass(frozen=True)
class Cost:
    """What a page took: how PostgreSQL found it, the blocks that it looked at, the time until the rows were here."""

    plan: str
    buffers: int
    median_ms: float


async def plant(own: AsyncEngine) -> tuple[str, str]:
    """The rows; the ids of the user and of the dataset."""
    user, dataset = ids.new(Noun.USER), ids.new(Noun.DATASET)
    named = {"user": ids.uuid_of(user, "user"), "dataset": ids.uuid_of(dataset, "ds")}
    for statement in PLANT.format(**named, projects=PROJECTS, rows=ROWS).split(";\n"):
        if statement.strip():
            async with own.begin() as connection:
                await connection.execute(text(statement))
    async with own.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(
            text("vacuum analyze")
        )
    return user, dataset


def reader(of: List, own: AsyncEngine, enqueuer: Enqueuer) -> Reader[Any]:
    """The store of a list."""
    session = cast(AsyncSession, Reading(own))
    return SqlJobs(session, enqueuer) if of.kind is SqlJobs else of.kind(session)


def nodes(plan: dict[str, Any]) -> Iterator[str]:
    """The parts of a plan that say how the rows were found, and what more than a page was sorted or read."""
    kind, index, parts = plan["Node Type"], plan.get("Index Name", ""), plan.get("Plans", ())
    sorted_rows = sum(it["Actual Rows"] * it["Actual Loops"] for it in parts) if "Sort" in kind else 0
    if "items" in index or "jobs" in index:
        yield f"{kind} {index}" + (", by its condition" if "Index Cond" in plan else ", all of it")
    if sorted_rows > SIZE + 1:
        yield f"{kind} of {sorted_rows:,.0f} rows"
    if kind == "Seq Scan" and plan["Actual Rows"] > SIZE:
        yield f"{kind} of {plan['Actual Rows']:,.0f} rows"
    for part in parts:
        yield from nodes(part)


async def explained(connection: AsyncConnection, statement: str, values: Any) -> tuple[str, int]:
    """How a statement finds its rows, and the blocks that it looks at."""
    asked = f"explain (analyze, buffers, format json) {statement}"
    found = (await connection.exec_driver_sql(asked, values)).scalar_one()
    plan = found[0]["Plan"]
    return "; ".join(dict.fromkeys(nodes(plan))), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


async def cost(own: AsyncEngine, enqueuer: Enqueuer, of: List, page: Page) -> Cost:
    """A page as the API reads it."""
    times = []
    for _ in range(ROUNDS):
        began = perf_counter()
        with noted() as seen:
            found = await reader(of, own, enqueuer).pages([of.parent], page, by=of.by, viewer_id=of.viewer_id)
        times.append((perf_counter() - began) * 1000)
        assert len(found[of.parent].rows) == SIZE
    async with own.connect() as connection:
        plan, buffers = await explained(connection, *seen[-1])
    return Cost(plan, buffers, statistics.median(times))


async def by_offset(own: AsyncEngine, enqueuer: Enqueuer, of: List, offset: int) -> tuple[float, str]:
    """The median of the same page by OFFSET, in ms, and the last row's cursor."""
    times = []
    store = reader(of, own, enqueuer)
    rows = store.rows(of.viewer_id).limit(SIZE).offset(offset)
    rows = rows.order_by(*(it.desc() if store.newest_first else it.asc() for it in store.order))
    if of.by is not None:
        rows = rows.where(next(it for it in store.source.c if it.name == of.by) == of.parent)
    statement = Statement(rows)
    for _ in range(3):
        began = perf_counter()
        found = (await Reading(own).fetch(statement, {})).all()
        built = [store.build(row) for row in found]
        times.append((perf_counter() - began) * 1000)
        assert len(built) == SIZE
    return statistics.median(times), store.cursor(found[-1], mark_of(of.viewer_id))


async def lines(own: AsyncEngine, enqueuer: Enqueuer, of: List) -> list[str]:
    """The lines of the table for one list."""
    last = ROWS // SIZE
    found = []
    for number in (1, last // 2, last):
        after = None if number == 1 else (await by_offset(own, enqueuer, of, (number - 2) * SIZE))[1]
        paid = await cost(own, enqueuer, of, Page(SIZE, after))
        peer, _ = await by_offset(own, enqueuer, of, (number - 1) * SIZE)
        found.append(line(of.name, f"{number:,}", paid, peer))
    paid = await cost(own, enqueuer, of, Page(SIZE, backward=True))
    return [*found, line(of.name, "the last, from the end", paid, None)]


def line(name: str, page: str, paid: Cost, peer: float | None) -> str:
    """One line of the table."""
    other = "" if peer is None else f"{peer:.1f}"
    return f"| {name} | {page} | {paid.plan} | {paid.buffers:,} | {paid.median_ms:.1f} | {other} |"


async def measure() -> str:
    """Plant, read, and the table."""
    async with stage() as variables:
        return await _table(variables["DATABASE_URL"])


async def _table(url: str) -> str:
    own = engine(url, statement_timeout_ms=600_000)
    enqueuer = Enqueuer(open_queue(conninfo(url)))
    user, dataset = await plant(own)
    lists = (
        List("items of a dataset", SqlItems, dataset, "dataset_id", user),
        List(f"jobs over {PROJECTS} projects", SqlJobs, user, None, user),
    )
    head = "| list | page | found by | blocks | median ms | by OFFSET, ms |\n|---|---|---|---:|---:|---:|"
    table = [it for of in lists for it in await lines(own, enqueuer, of)]
    await own.dispose()
    return "\n".join([head, *table])


if __name__ == "__main__":
    print(asyncio.run(measure()))
