"""Coroutines that are begun at once: what has nothing to wait for is there without a task, as if it were no coroutine."""

import asyncio
from collections.abc import Coroutine, Generator, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Started(Generic[T]):
    """A coroutine that has run until it waits for something, or to its end. It can be awaited once.

    Its first step runs in the task that starts it, and the others in the one that awaits it: it must not begin what
    is bound to a task, as `asyncio.timeout` is.
    """

    __slots__ = ("_coroutine", "_error", "_value", "_waits_for", "is_over")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._error: BaseException | None = None
        self._waits_for: Any = None
        self.is_over = False
        self._go(coroutine.send, None)

    def _go(self, step: Any, given: Any) -> None:
        try:
            self._waits_for = step(given)
            self._mark(is_awaited=False)
        except StopIteration as end:
            self._value, self.is_over = end.value, True
        except BaseException as error:  # noqa: BLE001 - `result` raises it
            self._error, self.is_over = error, True

    def _mark(self, *, is_awaited: bool) -> None:
        """A future says of itself that it was handed over to be waited for; it is handed over when we are awaited."""
        if hasattr(self._waits_for, "_asyncio_future_blocking"):
            self._waits_for._asyncio_future_blocking = is_awaited  # noqa: SLF001 - so does asyncio's own `Task`

    def result(self) -> T:
        """What came out of it; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._value

    def __await__(self) -> Generator[Any, Any, T]:
        """Run it to its end, as the loop would: what it waits for is handed on, and what comes of that is handed back."""
        while not self.is_over:
            self._mark(is_awaited=True)
            try:
                given = yield self._waits_for
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's
                self._go(self._coroutine.throw, error)
            else:
                self._go(self._coroutine.send, given)
        return self.result()


async def together(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """What comes out of all of them; raises the first one's error when none is under way any more."""
    started = [Started(it) for it in coroutines]
    waiting = [it for it in started if not it.is_over]
    if len(waiting) == 1 and len(started) == 1:
        return [await waiting[0]]
    if waiting:
        await asyncio.gather(*waiting, return_exceptions=True)
    return [it.result() for it in started]
