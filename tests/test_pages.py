"""Pages of every list, in both directions, while rows are added and deleted."""

import base64
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import ids
from domain.ids import Noun
from domain.services import Services
from infra.db.cursors import VERSION, viewer_tag_of
from tests.clients import Api
from tests.introspection import LISTS
from tests.jobs import new_project
from tests.lists import KINDS, Listed, Row, places, row_type
from tests.sample_data import create_sample_data

pytestmark = pytest.mark.anyio

PLACES = places()


@pytest.fixture
async def lists(api: Api, services: Services, database: AsyncEngine) -> dict[str, Listed]:
    """Every list of a user by name, with a few rows; another user has rows too."""
    owner, other_user = await create_sample_data(services, api), await create_sample_data(services, api.other)
    for _ in range(2):
        await new_project(api)
    return {place: Listed(place, owner, other_user, database) for place in PLACES}


def test_every_list_of_the_schema_is_tested_here() -> None:
    assert {f"Query.{name}" for name in LISTS} <= set(PLACES)
    assert {row_type(place) for place in PLACES} == KINDS.keys()


@dataclass(frozen=True)
class Step:
    """The size of a page, and how many rows are added and deleted before the next one."""

    size: int
    added: int
    removed: int


STEPS = st.lists(st.builds(Step, st.integers(1, 6), st.integers(0, 3), st.integers(0, 3)), max_size=4)


class Walk:
    """Reads a list page by page from one end to the other."""

    def __init__(self, listed: Listed, *, backward: bool) -> None:
        self.listed = listed
        self.backward = backward
        self.seen: list[Row] = []
        self.cursor: str | None = None
        self.is_over = False

    async def go(self, size: int) -> None:
        """Read the next page, and check that it has the next rows of the list as it is now."""
        size_name, cursor_name = ("last", "before") if self.backward else ("first", "after")
        cursor = {} if self.cursor is None else {cursor_name: self.cursor}
        page = await self.listed.page(**{size_name: size}, **cursor)
        ahead, behind = self.around()
        rows = ahead[:size]
        in_order = list(reversed(rows)) if self.backward else rows
        assert [str(edge["node"]["id"]) for edge in page["edges"]] == [row.ident for row in in_order]
        self.check(page, more=len(ahead) > size, passed=bool(behind) if rows else self.cursor is not None)
        self.seen += rows
        self.is_over = len(ahead) <= size
        if rows:
            self.cursor = page["pageInfo"]["startCursor" if self.backward else "endCursor"]

    def around(self) -> tuple[list[Row], list[Row]]:
        """The rows after the last one that was read and those up to it, in the direction of the walk."""
        rows = list(reversed(self.listed.rows)) if self.backward else self.listed.rows
        if not self.seen:
            return rows, []
        last = self.seen[-1]
        behind = [row for row in rows if row == last or self.comes_after(last, row)]
        return [row for row in rows if row not in behind], behind

    def comes_after(self, row: Row, other: Row) -> bool:
        """Whether a row comes after another one in the direction of the walk."""
        return (row > other) is (self.backward is self.listed.kind.newest_first)

    def check(self, page: dict[str, Any], *, more: bool, passed: bool) -> None:
        """Check `pageInfo`."""
        cursors = [edge["cursor"] for edge in page["edges"]]
        assert page["pageInfo"] == {
            "hasNextPage": passed if self.backward else more,
            "hasPreviousPage": more if self.backward else passed,
            "startCursor": cursors[0] if cursors else None,
            "endCursor": cursors[-1] if cursors else None,
        }

    def check_all(self, throughout: list[Row]) -> None:
        """Check that no row was read twice, all were in order, and none that was there `throughout` was left out."""
        assert len(set(self.seen)) == len(self.seen)
        in_order = self.listed.sorted(self.seen)
        assert self.seen == (list(reversed(in_order)) if self.backward else in_order)
        assert set(throughout) <= set(self.seen)


async def change(listed: Listed, random: Random, step: Step) -> list[Row]:
    """Add and delete rows; returns the deleted ones."""
    deletable = [row for row in listed.rows if row not in listed.base]
    deleted = random.sample(deletable, min(step.removed, len(deletable)))
    await listed.remove(deleted)
    await listed.add(random, step.added)
    return deleted


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
async def test_pages_of_a_list_that_changes_have_each_row_that_stays_exactly_once(
    lists: dict[str, Listed], place: str, length: int, steps: list[Step], backward: bool, seed: int
) -> None:
    listed, random = lists[place], Random(seed)  # noqa: S311 - positions of rows
    async with listed.filled(random, length):
        walk, throughout = Walk(listed, backward=backward), list(listed.rows)
        for step in steps:
            await walk.go(step.size)
            deleted = await change(listed, random, step)
            throughout = [row for row in throughout if row not in deleted]
        while not walk.is_over:
            await walk.go(5)
        walk.check_all(throughout)


async def test_every_list_is_the_same_forward_and_backward(lists: dict[str, Listed]) -> None:
    for listed in lists.values():
        async with listed.filled(Random(listed.place), 7):  # noqa: S311 - the same each time
            walks = Walk(listed, backward=False), Walk(listed, backward=True)
            for walk in walks:
                while not walk.is_over:
                    await walk.go(4)
            assert walks[0].seen == list(reversed(walks[1].seen)) == listed.rows


BAD_PAGES = [{"first": 0}, {"first": -1}, {"last": 101}, {"first": 1_000_000}, {"first": 1, "last": 1}]


def refusal(body: dict[str, Any]) -> tuple[str, str]:
    """Code and reason of the error of a response."""
    (error,) = body["errors"]
    return error["extensions"]["code"], error["extensions"]["reason"]


async def test_invalid_page_sizes_are_refused_by_every_list(lists: dict[str, Listed]) -> None:
    for listed in lists.values():
        for page in BAD_PAGES:
            error = refusal(await listed.response(listed.owner, **page))
            assert error == ("BAD_USER_INPUT", "INVALID_PAGE"), listed.place


async def row_cursor(listed: Listed) -> str:
    """The cursor of one of its rows."""
    async with listed.filled(Random(1), 1):  # noqa: S311
        return str((await listed.page(first=1))["pageInfo"]["endCursor"])


async def test_cursors_of_other_lists_and_other_users_are_refused(lists: dict[str, Listed]) -> None:
    cursors = {place: await row_cursor(listed) for place, listed in lists.items()}
    for place, listed in lists.items():
        other = next(cursors[name] for name in PLACES if row_type(name) != row_type(place))
        refused = [
            await listed.response(listed.owner, before=other),
            await listed.response(listed.owner, after="MQ"),
        ]
        if row_type(place) != "JobEvent":  # there a cursor is the event's number, whoever may see it
            refused.append(await listed.response(listed.other_user, after=cursors[place]))
        assert {refusal(body) for body in refused} == {("BAD_USER_INPUT", "INVALID_CURSOR")}, place
        assert refused[0]["errors"][0]["extensions"]["field"] == ["before"]


def cursor(*parts: Any) -> str:
    """A cursor of any parts."""
    return base64.urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()


async def test_malformed_cursors_are_refused(lists: dict[str, Listed]) -> None:
    listed = lists["Dataset.items"]
    item, tag = ids.new(Noun.ITEM), viewer_tag_of(listed.owner.ids["User"])
    assert "errors" not in await listed.response(listed.owner, after=cursor(VERSION, "items", tag, 1, item))
    for wrong in (
        cursor(VERSION - 1, "items", 1, item),
        cursor(VERSION - 1, "items", tag, 1, item),
        cursor(VERSION, "jobs", tag, 1, item),
        cursor(VERSION, "items", tag, 1),
        cursor(VERSION, "items", tag, 1, item, item),
        cursor(VERSION, "items", tag, 1, ids.new(Noun.JOB)),
        cursor(VERSION, "items", tag, 1, "x\x00"),
        cursor(VERSION, "items", tag, True, item),
        cursor(VERSION, "items", tag, 2**63, item),
        cursor(VERSION, "items", tag, 1.5, item),
        cursor(VERSION, "items", tag, None, None),
        cursor(),
        "",
        "ü",
        "e30",
        "%",
        "=" * 1_000,
    ):
        error = refusal(await listed.response(listed.owner, after=wrong))
        assert error == ("BAD_USER_INPUT", "INVALID_CURSOR"), wrong


async def test_a_cursor_is_valid_with_another_filter(lists: dict[str, Listed]) -> None:
    listed = lists["Dataset.items"]
    selection = "items(first: 2, after: $after, filter: {deleted: false}) { nodes { id } }"
    document = f"query($id: ID!, $after: String) {{ dataset(id: $id) {{ {selection} }} }}"
    async with listed.filled(Random(3), 6):  # noqa: S311
        after = (await listed.page(first=3))["pageInfo"]["endCursor"]
        deleted, *remaining = (row.ident for row in listed.rows[3:])
        await listed.owner.api.mutate("deleteItems", "dataset { id }", itemIds=[deleted])
        found = await listed.owner.api.gql(document, id=listed.owner.ids["Dataset"], after=after)
    assert [node["id"] for node in found["dataset"]["items"]["nodes"]] == remaining[:2]
