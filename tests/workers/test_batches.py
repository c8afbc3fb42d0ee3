"""Reading a stream that may hurry."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from workers.batches import WAITING, Batches

pytestmark = pytest.mark.anyio


class Source:
    """Counts as far as it is let, and says how it ended."""

    def __init__(self, end: int, *, fails: Exception | None = None, cleans_for_ever: bool = False) -> None:
        self.end = end
        self.fails = fails
        self.cleans_for_ever = cleans_for_ever
        self.counted = asyncio.Event()
        self.go = asyncio.Event()
        self.ending = asyncio.Event()
        self.over = asyncio.Event()
        self.ended: list[str] = []

    async def count(self) -> AsyncIterator[int]:
        try:
            for number in range(self.end):
                yield number
            self.counted.set()
            await self.go.wait()
        finally:
            self.ending.set()
            await self._clean()
        if self.fails:
            raise self.fails

    async def _clean(self) -> None:
        try:
            if self.cleans_for_ever:
                await asyncio.Event().wait()
            self.ended.append("cleanly")
        except asyncio.CancelledError:
            self.ended.append("at once")
            self.over.set()
            raise


async def read(source: Source, found: list[int]) -> None:
    async with Batches(source.count(), 0.0) as batches:
        async for batch in batches:
            found += batch


async def test_what_comes_close_together_comes_in_one_list_and_in_order() -> None:
    source = Source(WAITING * 3)
    source.go.set()
    async with Batches(source.count(), 0.01) as batches:
        found = [batch async for batch in batches]
    assert [number for batch in found for number in batch] == list(range(WAITING * 3))
    assert len(found) < 20


async def test_nothing_waits_for_what_comes_next() -> None:
    source = Source(3)
    async with Batches(source.count(), 0.001) as batches:
        found: list[int] = []
        while len(found) < 3:
            found += await anext(batches)
        assert not source.go.is_set()


async def test_a_failure_comes_after_all_that_came_before_it() -> None:
    source, found = Source(2, fails=ValueError("broken")), list[int]()
    source.go.set()
    with pytest.raises(ValueError, match="broken"):
        await read(source, found)
    assert found == [0, 1]


async def test_leaving_early_waits_until_the_source_has_cleaned_up() -> None:
    source = Source(1)
    async with Batches(source.count(), 0.0) as batches:
        await anext(batches)
    assert source.ended == ["cleanly"]


async def test_a_source_that_waits_for_its_reader_is_closed_too() -> None:
    source = Source(WAITING * 2)
    async with Batches(source.count(), 0.0) as batches:
        assert (await anext(batches))[0] == 0
    assert source.ended == ["cleanly"]
    assert not source.counted.is_set()


async def test_at_once_means_that_the_source_does_not_finish_its_cleaning() -> None:
    source = Source(1, cleans_for_ever=True)
    async with Batches(source.count(), 0.0) as batches:
        await anext(batches)
        batches.at_once = True
    assert source.ended == ["at once"]


async def test_a_reader_that_is_cancelled_again_while_it_waits_leaves_at_once() -> None:
    source = Source(1, cleans_for_ever=True)
    reading = asyncio.create_task(read(source, []))
    await source.counted.wait()
    reading.cancel()
    await source.ending.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await source.over.wait()
    assert source.ended == ["at once"]
