"""Reads a stream in batches: what arrives close together is handled together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

CANCEL_INTERVAL_S = 0.05
MAX_QUEUED = 1_000
"""Elements that wait to be handled; the source is not read further while there are as many."""


class BatchedStream(Generic[T]):
    """The elements of a source, in lists at least `interval_s` apart; no element waits longer than that.

    Use it as an asynchronous context manager. The source is read by a task, which is cancelled when the block
    ends early. Its cleanup is awaited, unless `skip_cleanup` was set: then it is cancelled until it ends.
    """

    def __init__(self, source: AsyncIterator[T], interval_s: float) -> None:
        self.skip_cleanup = False
        self._source = source
        self._interval_s = interval_s
        self._queue = asyncio.Queue[T | None](MAX_QUEUED)  # None at the end
        self._last_batch_at = float("-inf")

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while not self._reading.done():
                self._reading.cancel()
                await asyncio.wait({self._reading}, timeout=CANCEL_INTERVAL_S if self.skip_cleanup else None)
        finally:
            self._reading.cancel()  # no effect on a finished task; it runs still when this one is cancelled
        if not self._reading.cancelled():
            self._reading.exception()  # retrieved, so that asyncio does not log it

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[T]:
        """The next batch. Raises what the source raised, after everything that it yielded before."""
        first = await self._queue.get()
        if first is None:
            await self._reading
            raise StopAsyncIteration
        now = asyncio.get_running_loop().time
        await asyncio.sleep(self._last_batch_at + self._interval_s - now())
        self._last_batch_at = now()
        return [first, *self._queued()]

    async def _read(self) -> None:
        try:
            async with aclosing(self._source):  # type: ignore[type-var]  # the source is an async generator
                async for element in self._source:
                    await self._queue.put(element)
        except Exception:
            await self._queue.put(None)
            raise
        await self._queue.put(None)

    def _queued(self) -> list[T]:
        elements: list[T] = []
        while not self._queue.empty():
            element = self._queue.get_nowait()
            if element is None:
                self._queue.put_nowait(None)  # for the next call
                break
            elements.append(element)
        return elements
