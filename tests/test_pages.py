"""Every list is walked in pages, both ways, while it changes: what stays is met once, in its order."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Index, text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.recorded import recorded_statements
from domain import ids
from domain.ids import Noun
from domain.services import Services
from infra.db import tables
from infra.db.cursors import VERSION, viewer_tag_of
from tests.clients import Api
from tests.introspection import LISTS
from tests.jobs import new_project
from tests.lists import KINDS, LINKED, Listed, Row, places, row_type
from tests.world import plant

pytestmark = pytest.mark.anyio

PLACES = places()


@pytest.fixture
async def lists(api: Api, services: Services, database: AsyncEngine) -> dict[str, Listed]:
    """Every list, with a row or a few in it, of someone who is not alone."""
    owner, stranger = await plant(services, api), await plant(services, api.other)
    for _ in range(2):
        await new_project(api)
    return {place: Listed(place, owner, stranger, database) for place in PLACES}


def test_every_list_of_the_schema_is_walked_here() -> None:
    assert {f"Query.{name}" for name in LISTS} <= set(PLACES)
    assert {row_type(place) for place in PLACES} == KINDS.keys()


@dataclass(frozen=True)
class Step:
    """A page of this size; before the next one some rows come and some go."""

    size: int
    added: int
    removed: int


STEPS = st.lists(st.builds(Step, st.integers(1, 6), st.integers(0, 3), st.integers(0, 3)), max_size=4)


class Walk:
    """A way through a list from one end to the other."""

    def __init__(self, of: Listed, *, backward: bool) -> None:
        self.of = of
        self.backward = backward
        self.seen: list[Row] = []
        self.cursor: str | None = None
        self.is_over = False

    async def go(self, size: int) -> None:
        """Read the next page, which is exactly what the list has there now."""
        size_name, cursor_name = ("last", "before") if self.backward else ("first", "after")
        place = {} if self.cursor is None else {cursor_name: self.cursor}
        page = await self.of.page(**{size_name: size}, **place)
        ahead, behind = self.around()
        rows = ahead[:size]
        shown = list(reversed(rows)) if self.backward else rows
        assert [str(it["node"]["id"]) for it in page["edges"]] == [row.ident for row in shown]
        self.check(page, more=len(ahead) > size, passed=bool(behind) if rows else self.cursor is not None)
        self.seen += rows
        self.is_over = len(ahead) <= size
        if rows:
            self.cursor = page["pageInfo"]["startCursor" if self.backward else "endCursor"]

    def around(self) -> tuple[list[Row], list[Row]]:
        """The rows that are still to come, and those that lie behind, in the walk's direction."""
        rows = list(reversed(self.of.rows)) if self.backward else self.of.rows
        if not self.seen:
            return rows, []
        last = self.seen[-1]
        behind = [row for row in rows if row == last or self.follows(last, row)]
        return [row for row in rows if row not in behind], behind

    def follows(self, row: Row, other: Row) -> bool:
        """Whether a row comes after another one in the walk's direction."""
        return (row > other) is (self.backward is self.of.kind.newest_first)

    def check(self, page: dict[str, Any], *, more: bool, passed: bool) -> None:
        """The page says what lies on both sides of it."""
        cursors = [it["cursor"] for it in page["edges"]]
        assert page["pageInfo"] == {
            "hasNextPage": passed if self.backward else more,
            "hasPreviousPage": more if self.backward else passed,
            "startCursor": cursors[0] if cursors else None,
            "endCursor": cursors[-1] if cursors else None,
        }

    def check_all(self, throughout: list[Row]) -> None:
        """What was there throughout was met once, in order; nothing was met twice."""
        assert len(set(self.seen)) == len(self.seen)
        in_order = self.of.sorted(self.seen)
        assert self.seen == (list(reversed(in_order)) if self.backward else in_order)
        assert set(throughout) <= set(self.seen)


async def change(of: Listed, random: Random, step: Step) -> list[Row]:
    """Have some rows come and some go; those that went."""
    loose = [row for row in of.rows if row not in of.base]
    gone = random.sample(loose, min(step.removed, len(loose)))
    await of.remove(gone)
    await of.add(random, step.added)
    return gone


@given(
    place=st.sampled_from(PLACES),
    length=st.integers(0, 12),
    steps=STEPS,
    backward=st.booleans(),
    seed=st.integers(0, 2**32),
)
@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.generate],  # the seed is in the report; smaller examples would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_pages_of_a_list_that_changes_meet_what_stays_exactly_once(
    lists: dict[str, Listed], place: str, length: int, steps: list[Step], backward: bool, seed: int
) -> None:
    of, random = lists[place], Random(seed)  # noqa: S311 - where rows lie is no secret
    async with of.filled(random, length):
        walk, throughout = Walk(of, backward=backward), list(of.rows)
        for step in steps:
            await walk.go(step.size)
            gone = await change(of, random, step)
            throughout = [row for row in throughout if row not in gone]
        while not walk.is_over:
            await walk.go(5)
        walk.check_all(throughout)


async def test_every_list_is_the_same_forward_and_backward(lists: dict[str, Listed]) -> None:
    for of in lists.values():
        async with of.filled(Random(of.place), 7):  # noqa: S311 - the same each time
            walks = Walk(of, backward=False), Walk(of, backward=True)
            for walk in walks:
                while not walk.is_over:
                    await walk.go(4)
            assert walks[0].seen == list(reversed(walks[1].seen)) == of.rows


BAD_PAGES = [{"first": 0}, {"first": -1}, {"last": 101}, {"first": 1_000_000}, {"first": 1, "last": 1}]


def reason(body: dict[str, Any]) -> tuple[str, str]:
    """Why a page was refused, as code and reason."""
    (error,) = body["errors"]
    return error["extensions"]["code"], error["extensions"]["reason"]


async def test_no_list_gives_a_page_of_an_impossible_size(lists: dict[str, Listed]) -> None:
    for of in lists.values():
        for page in BAD_PAGES:
            assert reason(await of.answer(of.owner, **page)) == ("BAD_USER_INPUT", "INVALID_PAGE"), of.place


async def a_cursor(of: Listed) -> str:
    """The place of one of its rows."""
    async with of.filled(Random(1), 1):  # noqa: S311
        return str((await of.page(first=1))["pageInfo"]["endCursor"])


async def test_no_list_takes_a_cursor_that_is_anothers(lists: dict[str, Listed]) -> None:
    made = {place: await a_cursor(of) for place, of in lists.items()}
    for place, of in lists.items():
        other = next(made[it] for it in PLACES if row_type(it) != row_type(place))
        refused = [await of.answer(of.owner, before=other), await of.answer(of.owner, after="MQ")]
        if row_type(place) != "JobEvent":  # there a cursor is the event's number, whoever may see it
            refused.append(await of.answer(of.stranger, after=made[place]))
        assert {reason(it) for it in refused} == {("BAD_USER_INPUT", "INVALID_CURSOR")}, place
        assert refused[0]["errors"][0]["extensions"]["field"] == ["before"]


def cursor(*parts: Any) -> str:
    """A cursor made by hand."""
    return base64.urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()


async def test_what_is_no_cursor_is_refused(lists: dict[str, Listed]) -> None:
    of = lists["Dataset.items"]
    item, mark = ids.new(Noun.ITEM), viewer_tag_of(of.owner.ids["User"])
    assert "errors" not in await of.answer(of.owner, after=cursor(VERSION, "items", mark, 1, item))
    for wrong in (
        cursor(VERSION - 1, "items", 1, item),
        cursor(VERSION - 1, "items", mark, 1, item),
        cursor(VERSION, "jobs", mark, 1, item),
        cursor(VERSION, "items", mark, 1),
        cursor(VERSION, "items", mark, 1, item, item),
        cursor(VERSION, "items", mark, 1, ids.new(Noun.JOB)),
        cursor(VERSION, "items", mark, 1, "x\x00"),
        cursor(VERSION, "items", mark, True, item),
        cursor(VERSION, "items", mark, 2**63, item),
        cursor(VERSION, "items", mark, 1.5, item),
        cursor(VERSION, "items", mark, None, None),
        cursor(),
        "",
        "ü",
        "e30",
        "%",
        "=" * 1_000,
    ):
        assert reason(await of.answer(of.owner, after=wrong)) == ("BAD_USER_INPUT", "INVALID_CURSOR"), wrong


async def test_a_cursor_is_a_place_under_any_filter(lists: dict[str, Listed]) -> None:
    of, kept = (
        lists["Dataset.items"],
        "items(first: 2, after: $after, filter: {deleted: false}) { nodes { id } }",
    )
    document = f"query($id: ID!, $after: String) {{ dataset(id: $id) {{ {kept} }} }}"
    async with of.filled(Random(3), 6):  # noqa: S311
        place = (await of.page(first=3))["pageInfo"]["endCursor"]
        gone, *left = (row.ident for row in of.rows[3:])
        await of.owner.api.mutate("deleteItems", "dataset { id }", itemIds=[gone])
        found = await of.owner.api.gql(document, id=of.owner.ids["Dataset"], after=place)
    assert [it["id"] for it in found["dataset"]["items"]["nodes"]] == left[:2]


ORDERS = {
    "items": ("position", "id"),
    "training_points": ("step",),
    "job_events": ("seq",),
    "dataset_documents": ("document_id",),
    "finetune_items": ("ordinal",),
}
"""The order of what is not in the order of its ids."""
SMALL = {"base_models"}
"""The catalogue is a few rows."""


def test_every_list_has_an_index_in_its_order() -> None:
    for place in PLACES:
        kind, parent = LINKED.get(place) or KINDS[row_type(place)], place.partition(".")[0]
        table = tables.metadata.tables[kind.link or kind.table]
        whose = "project_id" if "project_id" in table.c else "owner_id"
        first = whose if parent == "Query" else f"{parent.lower()}_id"
        wanted = [first, *ORDERS.get(table.name, ("id",))]
        indexed = [[it.name for it in index.columns] for index in table.indexes if isinstance(index, Index)]
        indexed.append([it.name for it in table.primary_key.columns])
        assert table.name in SMALL or wanted in [it[: len(wanted)] for it in indexed], place


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a plan, which say how many rows they met."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from scans(part)


async def explained(of: Listed, **page: Any) -> dict[str, Any]:
    """How PostgreSQL finds a page: the plan of the statement that met the most blocks."""
    with recorded_statements() as seen:
        assert (await of.page(**page))["edges"]
    plans = []
    async with of.database.connect() as connection:
        for statement, values in seen:
            asked = f"explain (analyze, buffers, format json) {statement}"
            plans.append((await connection.exec_driver_sql(asked, values)).scalar_one()[0]["Plan"])
    return max(plans, key=blocks)


def blocks(plan: dict[str, Any]) -> int:
    """How many blocks a plan looked at."""
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize("place", ["Dataset.items", "Query.jobs", "Project.documents"])
async def test_a_page_costs_the_same_however_deep_it_lies(lists: dict[str, Listed], place: str) -> None:
    of, table = lists[place], KINDS[row_type(place)].table
    async with of.filled(Random(place), 10_000):  # noqa: S311
        async with of.database.connect() as connection:
            await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(
                text(f"vacuum analyze {table}")
            )
        cursors = [(await of.page(**{it: 1}))["pageInfo"]["endCursor"] for it in ("first", "last")]
        plans = [
            await explained(of, first=20),
            await explained(of, first=20, after=cursors[0]),
            await explained(of, last=20, before=cursors[1]),
            await explained(of, last=20),
        ]
    for plan in plans:
        for part in scans(plan):
            met = part["Actual Rows"] * part["Actual Loops"] + part.get("Rows Removed by Filter", 0)
            assert met <= 21 * len(of.projects), part
            assert part.get("Relation Name") != table or "Index Cond" in part or "Recheck Cond" in part
    assert max(map(blocks, plans)) <= 2 * min(map(blocks, plans)) + 40
