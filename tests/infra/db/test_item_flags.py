"""The flags of a dataset's items are those that their definition gives, whatever is deleted and restored."""

import unicodedata
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.datasets import Dataset
from domain.items import Item, ItemOrigin, ItemSelection, new_item
from domain.reading import require
from domain.services import Services
from tests.clients import Api
from tests.importing import new_qa_dataset

pytestmark = pytest.mark.anyio

TEXTS = st.sampled_from(["", "a", "A", "a ", " a", "é", "e\u0301", "E\u0301\n", "b"])
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8)


@dataclass(frozen=True)
class Flags:
    """The problems that other items cause."""

    is_duplicate: bool = False
    is_near_duplicate: bool = False
    is_contradiction: bool = False


def exact(text: str) -> str:
    return unicodedata.normalize("NFC", text).rstrip()


def near(text: str) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFD", text).casefold().split())


def expected_flags(rows: Sequence[tuple[str, str]], deleted: set[int]) -> list[Flags]:
    """The flags by definition: every item is compared with every other one."""
    flags = [Flags() for _ in rows]
    valid: list[int] = []
    for index, (question, answer) in enumerate(rows):
        if index in deleted or not question.strip() or not answer.strip():
            continue
        pair = exact(question), exact(answer)
        if pair in [(exact(rows[other][0]), exact(rows[other][1])) for other in valid]:
            flags[index] = Flags(is_duplicate=True)
        else:
            valid.append(index)
    for index in valid:
        question, answer = rows[index]
        others = [(rows[other], other) for other in valid if other != index]
        flags[index] = Flags(
            is_near_duplicate=any(
                (near(row[0]), near(row[1])) == (near(question), near(answer)) and other < index
                for row, other in others
            ),
            is_contradiction=any(
                exact(row[0]) == exact(question) and near(row[1]) != near(answer) for row, _ in others
            ),
        )
    return flags


class Items:
    """The items of a dataset."""

    def __init__(self, services: Services, dataset: Dataset, viewer_id: str) -> None:
        self.services = services
        self.dataset = dataset
        self.viewer_id = viewer_id

    async def add(self, rows: Sequence[tuple[str, str]]) -> None:
        async def made() -> AsyncIterator[Item]:
            for position, (question, answer) in enumerate(rows):
                yield new_item(
                    self.dataset,
                    {"question": question, "answer": answer},
                    key=str(position),
                    position=position,
                    origin=ItemOrigin.UPLOADED,
                    now=self.services.now(),
                )

        async with self.services.transactions.begin() as store:
            await store.items.add_many(made())
            await store.items.recompute(self.dataset)

    async def set_deleted(self, item: Item, deleted: bool) -> None:
        async with self.services.transactions.begin() as store:
            await store.items.set_deleted(self.dataset.id, deleted, item_ids=[item.id])
            await store.items.recompute(self.dataset)

    async def all(self) -> list[Item]:
        async with self.services.transactions.begin() as store:
            return [
                item
                async for item in store.items.stream(
                    self.dataset.id, split=None, selection=ItemSelection.ALL, viewer_id=self.viewer_id
                )
            ]


async def new_dataset(api: Api, services: Services) -> Dataset:
    dataset_id = await new_qa_dataset(api)
    async with services.transactions.begin() as store:
        return await require(store.datasets, dataset_id, viewer_id=api.user_id)


@given(rows=ROWS, toggled=st.lists(st.integers(0, 7), max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_flags_are_as_they_are_defined_after_every_deletion_and_restoration(
    api: Api, services: Services, rows: list[tuple[str, str]], toggled: list[int]
) -> None:
    items = Items(services, await new_dataset(api, services), api.user_id)
    await items.add(rows)
    deleted: set[int] = set()
    assert await flags_of(items) == expected_flags(rows, deleted)
    for index in (index for index in toggled if index < len(rows)):
        deleted ^= {index}
        await items.set_deleted((await items.all())[index], index in deleted)
        assert await flags_of(items) == expected_flags(rows, deleted)


async def flags_of(items: Items) -> list[Flags]:
    found = await items.all()
    for item in found:
        is_free_of_errors = all(problem.is_warning for problem in item.problems)
        assert item.is_valid is (is_free_of_errors and not item.is_duplicate)
    return [Flags(item.is_duplicate, item.is_near_duplicate, item.is_contradiction) for item in found]


async def test_a_recomputation_that_changes_nothing_writes_no_row(
    api: Api, services: Services, database: AsyncEngine
) -> None:
    async def writers() -> list[tuple[str, str]]:
        async with database.connect() as connection:
            return [
                (row.id, row.xmin)
                for row in await connection.execute(text("select id::text, xmin::text from items"))
            ]

    items = Items(services, await new_dataset(api, services), api.user_id)
    await items.add([("a", "1"), ("a", "1"), ("A", "1"), ("a", "2")])
    before = await writers()
    async with services.transactions.begin() as store:
        await store.items.recompute(items.dataset)
    assert await writers() == before
    await items.set_deleted((await items.all())[3], deleted=True)
    assert len(set(await writers()) - set(before)) == 2
