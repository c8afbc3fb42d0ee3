"""Reading a stream that may hurry: what comes close together is handled together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

AT_ONCE_S = 0.05
WAITING = 1_000
"""So much may wait to be handled; then the source has to wait too."""


class Batches(Generic[T]):
    """What a source yields, in lists at least `seconds` apart; nothing waits longer than that.

    Use it as an asynchronous context manager. The source is read by a task of its own, which is cancelled
    when the block ends early: once, and what it cleans up is waited for; or again and again when `at_once`
    was set, so that it has to leave its cleaning.
    """

    def __init__(self, source: AsyncIterator[T], seconds: float) -> None:
        self.at_once = False
        self._source = source
        self._seconds = seconds
        self._waiting = asyncio.Queue[T | None](WAITING)
        self._last = float("-inf")

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while not self._reading.done():
                self._reading.cancel()
                await asyncio.wait({self._reading}, timeout=AT_ONCE_S if self.at_once else None)
        finally:
            self._reading.cancel()  # we are cancelled ourselves, or it is done already
        if not self._reading.cancelled():
            self._reading.exception()  # nobody asks for it any more

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[T]:
        """The next list; raises what the source raised, after all that it yielded before."""
        first = await self._waiting.get()
        if first is None:
            await self._reading
            raise StopAsyncIteration
        now = asyncio.get_running_loop().time
        await asyncio.sleep(self._last + self._seconds - now())
        self._last = now()
        return [first, *self._waiting_now()]

    async def _read(self) -> None:
        try:
            async with aclosing(self._source):  # type: ignore[type-var]  # it is made of a generator
                async for it in self._source:
                    await self._waiting.put(it)
        except Exception:
            await self._waiting.put(None)
            raise
        await self._waiting.put(None)

    def _waiting_now(self) -> list[T]:
        found: list[T] = []
        while not self._waiting.empty():
            it = self._waiting.get_nowait()
            if it is None:
                self._waiting.put_nowait(None)  # for the next call
                break
            found.append(it)
        return found
