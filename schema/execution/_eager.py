"""Coroutines that are started at once: one that has nothing to wait for is done without a task."""

import asyncio
from collections.abc import Coroutine, Generator, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class EagerCoroutine(Generic[T]):
    """A coroutine that has run until it waits for something, or to its end. It can be awaited once.

    Its first step runs in the task that starts it, and the others in the one that awaits it: it must not begin what
    is bound to a task, as `asyncio.timeout` is. From Python 3.12 on `asyncio.eager_task_factory` does the same for tasks.
    """

    __slots__ = ("_awaited", "_coroutine", "_error", "_value", "is_done")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._error: BaseException | None = None
        self._awaited: Any = None
        self.is_done = False
        self._advance(coroutine.send, None)

    def _advance(self, step: Any, argument: Any) -> None:
        try:
            self._awaited = step(argument)
            self._mark_blocking(is_blocking=False)
        except StopIteration as end:
            self._value, self.is_done = end.value, True
        except BaseException as error:  # noqa: BLE001 - `result` raises it
            self._error, self.is_done = error, True

    def _mark_blocking(self, *, is_blocking: bool) -> None:
        """Say of the awaited future whether a task waits for it: none does until this object itself is awaited."""
        if hasattr(self._awaited, "_asyncio_future_blocking"):
            self._awaited._asyncio_future_blocking = is_blocking  # noqa: SLF001 - so does asyncio's own `Task`

    def result(self) -> T:
        """What the coroutine returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._value

    def __await__(self) -> Generator[Any, Any, T]:
        """Run it to its end: what it waits for is passed to the event loop, and what comes of that is passed back."""
        while not self.is_done:
            self._mark_blocking(is_blocking=True)
            try:
                sent = yield self._awaited
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's
                self._advance(self._coroutine.throw, error)
            else:
                self._advance(self._coroutine.send, sent)
        return self.result()


async def gather_eagerly(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all coroutines; raises the first one's error once none runs any more."""
    started = [EagerCoroutine(coroutine) for coroutine in coroutines]
    waiting = [coroutine for coroutine in started if not coroutine.is_done]
    if len(waiting) == 1 and len(started) == 1:
        return [await waiting[0]]
    if waiting:
        await asyncio.gather(*waiting, return_exceptions=True)
    return [coroutine.result() for coroutine in started]
