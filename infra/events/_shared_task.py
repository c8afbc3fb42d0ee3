"""One task whose result many await."""

import asyncio
from collections.abc import Coroutine, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


WAKE_BATCH = 50
"""So many waiters are woken in one iteration of the event loop: what they send leaves before the next ones are woken,
and other tasks run in between."""


class SharedTask(Generic[Result]):
    """One task for all who wait for its result; it is cancelled when the last of them is."""

    def __init__(self, work: Coroutine[Any, Any, Result]) -> None:
        self._waiters = dict[asyncio.Future[None], None]()  # in the order in which they came
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(self._wake_all)

    @property
    def is_closed(self) -> bool:
        """Whether it is too late to wait for the result."""
        return self._task.done() or self._task.cancelling() > 0

    async def result(self) -> Result:
        """The task's result; raises what the task raised."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            await waiter
        finally:
            del self._waiters[waiter]
            if not self._waiters:
                self._task.cancel()
        return self._task.result()

    def _wake_all(self, _: asyncio.Task[Result]) -> None:
        self._wake_batch(iter(tuple(self._waiters)))

    def _wake_batch(self, waiters: Iterator[asyncio.Future[None]]) -> None:
        batch = tuple(islice(waiters, WAKE_BATCH))
        for waiter in batch:
            if not waiter.done():
                waiter.set_result(None)
        if len(batch) == WAKE_BATCH:
            asyncio.get_running_loop().call_soon(self._wake_batch, waiters)
