"""Reading a stream in batches."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from workers.batched_stream import MAX_QUEUED, BatchedStream

pytestmark = pytest.mark.anyio


class Source:
    """Counts up to `end`, and records how it was cleaned up."""

    def __init__(self, end: int, *, error: Exception | None = None, cleanup_hangs: bool = False) -> None:
        self.end = end
        self.error = error
        self.cleanup_hangs = cleanup_hangs
        self.counted = asyncio.Event()
        self.may_end = asyncio.Event()
        self.ending = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.cleanups: list[str] = []

    async def count(self) -> AsyncIterator[int]:
        try:
            for number in range(self.end):
                yield number
            self.counted.set()
            await self.may_end.wait()
        finally:
            self.ending.set()
            await self._clean_up()
        if self.error:
            raise self.error

    async def _clean_up(self) -> None:
        try:
            if self.cleanup_hangs:
                await asyncio.Event().wait()
            self.cleanups.append("complete")
        except asyncio.CancelledError:
            self.cleanups.append("cancelled")
            self.cancelled.set()
            raise


async def read(source: Source, found: list[int]) -> None:
    async with BatchedStream(source.count(), 0.0) as batches:
        async for batch in batches:
            found += batch


async def test_elements_that_arrive_together_are_one_batch_in_order() -> None:
    source = Source(MAX_QUEUED * 3)
    source.may_end.set()
    async with BatchedStream(source.count(), 0.01) as batches:
        found = [batch async for batch in batches]
    assert [number for batch in found for number in batch] == list(range(MAX_QUEUED * 3))
    assert len(found) < 20


async def test_no_element_waits_for_the_next() -> None:
    source = Source(3)
    async with BatchedStream(source.count(), 0.001) as batches:
        found: list[int] = []
        while len(found) < 3:
            found += await anext(batches)
        assert not source.may_end.is_set()


async def test_an_error_is_raised_after_the_elements_before_it() -> None:
    source, found = Source(2, error=ValueError("broken")), list[int]()
    source.may_end.set()
    with pytest.raises(ValueError, match="broken"):
        await read(source, found)
    assert found == [0, 1]


async def test_leaving_early_waits_for_the_cleanup_of_the_source() -> None:
    source = Source(1)
    async with BatchedStream(source.count(), 0.0) as batches:
        await anext(batches)
    assert source.cleanups == ["complete"]


async def test_a_source_that_waits_for_its_reader_is_closed_too() -> None:
    source = Source(MAX_QUEUED * 2)
    async with BatchedStream(source.count(), 0.0) as batches:
        assert (await anext(batches))[0] == 0
    assert source.cleanups == ["complete"]
    assert not source.counted.is_set()


async def test_a_skipped_cleanup_is_cancelled() -> None:
    source = Source(1, cleanup_hangs=True)
    async with BatchedStream(source.count(), 0.0) as batches:
        await anext(batches)
        batches.skip_cleanup = True
    assert source.cleanups == ["cancelled"]


async def test_a_reader_that_is_cancelled_again_does_not_wait_for_the_cleanup() -> None:
    source = Source(1, cleanup_hangs=True)
    reading = asyncio.create_task(read(source, []))
    await source.counted.wait()
    reading.cancel()
    await source.ending.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await source.cancelled.wait()
    assert source.cleanups == ["cancelled"]
