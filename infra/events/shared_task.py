"""Work that many wait for and that is done once."""

import asyncio
from collections.abc import Coroutine, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


AT_ONCE = 50
"""So many are told in one turn of the loop: what they send leaves before the next ones are told, and others get a turn."""


class Shared(Generic[Result]):
    """One task for all who wait for its result; it is cancelled with the last of them."""

    def __init__(self, work: Coroutine[Any, Any, Result]) -> None:
        self._waiting = dict[asyncio.Future[None], None]()  # in the order in which they came
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(self._tell)

    @property
    def is_closed(self) -> bool:
        """Whether it is too late to join."""
        return self._task.done() or self._task.cancelling() > 0

    async def result(self) -> Result:
        """What the task gave; raises what it raised."""
        told = asyncio.get_running_loop().create_future()
        self._waiting[told] = None
        try:
            await told
        finally:
            del self._waiting[told]
            if not self._waiting:
                self._task.cancel()
        return self._task.result()

    def _tell(self, _: asyncio.Task[Result]) -> None:
        self._tell_some(iter(tuple(self._waiting)))

    def _tell_some(self, waiting: Iterator[asyncio.Future[None]]) -> None:
        some = tuple(islice(waiting, AT_ONCE))
        for told in some:
            if not told.done():
                told.set_result(None)
        if len(some) == AT_ONCE:
            asyncio.get_running_loop().call_soon(self._tell_some, waiting)
