"""Costs of pages: every list has an index, and a page far into a long list costs no more than the first."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from sqlalchemy import Index, text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.recorded import recorded_statements
from domain.services import Services
from infra.db import tables
from tests.clients import Api
from tests.jobs import new_project
from tests.lists import KINDS, LINKED, Listed, places, row_type
from tests.sample_data import create_sample_data

pytestmark = pytest.mark.anyio

ORDERS = {
    "items": ("position", "id"),
    "training_points": ("step",),
    "job_events": ("seq",),
    "dataset_documents": ("document_id",),
    "finetune_items": ("ordinal",),
}
"""The columns by which tables are ordered that are not ordered by id."""
SMALL = {"base_models"}
"""Tables of a few rows."""


def test_every_list_has_an_index_in_its_order() -> None:
    for place in places():
        kind, parent = LINKED.get(place) or KINDS[row_type(place)], place.partition(".")[0]
        table = tables.metadata.tables[kind.link or kind.table]
        owner = "project_id" if "project_id" in table.c else "owner_id"
        first = owner if parent == "Query" else f"{parent.lower()}_id"
        expected = [first, *ORDERS.get(table.name, ("id",))]
        indexed = [
            [column.name for column in index.columns] for index in table.indexes if isinstance(index, Index)
        ]
        indexed.append([column.name for column in table.primary_key.columns])
        assert table.name in SMALL or expected in [columns[: len(expected)] for columns in indexed], place


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All nodes of a query plan, each with the number of rows that it read."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes_of(child)


async def explained(listed: Listed, **page: Any) -> dict[str, Any]:
    """The plan of the statement of a page that reads the most blocks."""
    with recorded_statements() as statements:
        assert (await listed.page(**page))["edges"]
    plans = []
    async with listed.database.connect() as connection:
        for statement, values in statements:
            explain = f"explain (analyze, buffers, format json) {statement}"
            plans.append((await connection.exec_driver_sql(explain, values)).scalar_one()[0]["Plan"])
    return max(plans, key=blocks)


def blocks(plan: dict[str, Any]) -> int:
    """The number of blocks that a plan reads."""
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize("place", ["Dataset.items", "Query.jobs", "Query.documents", "Project.documents"])
async def test_a_page_at_the_end_of_a_long_list_costs_as_much_as_one_at_its_start(
    api: Api, services: Services, database: AsyncEngine, place: str
) -> None:
    owner, other_user = await create_sample_data(services, api), await create_sample_data(services, api.other)
    for _ in range(2):
        await new_project(api)
    listed, table = Listed(place, owner, other_user, database), KINDS[row_type(place)].table
    async with listed.filled(Random(place), 10_000):  # noqa: S311
        async with listed.database.connect() as connection:
            await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(
                text(f"vacuum analyze {table}")
            )
        cursors = [(await listed.page(**{name: 1}))["pageInfo"]["endCursor"] for name in ("first", "last")]
        plans = [
            await explained(listed, first=20),
            await explained(listed, first=20, after=cursors[0]),
            await explained(listed, last=20, before=cursors[1]),
            await explained(listed, last=20),
        ]
    for plan in plans:
        for node in nodes_of(plan):
            read = node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0)
            assert read <= 21 * len(listed.projects), node
            assert node.get("Relation Name") != table or "Index Cond" in node or "Recheck Cond" in node
    assert max(map(blocks, plans)) <= 2 * min(map(blocks, plans)) + 40
