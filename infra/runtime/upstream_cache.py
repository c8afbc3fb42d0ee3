"""What a runtime answered, kept for some seconds, so that a request costs no question of its own."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from time import monotonic
from typing import Any

from domain.ports.model_runtime import Upstream


class Answers:
    """The newest answer for each model; askers at the same time share one question."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: dict[str, tuple[float, Upstream]] = {}
        self._asked: dict[str, asyncio.Task[Upstream]] = {}

    async def get(self, name: str, ask: Callable[[], Coroutine[Any, Any, Upstream]]) -> Upstream:
        """The answer for `name`, asked for when none is fresh. Whatever `ask` raises is raised and not kept."""
        until, known = self._known.get(name, (0.0, None))
        if known is not None and monotonic() < until:
            return known
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = asyncio.create_task(ask())
            asked.add_done_callback(partial(self._keep, name))
        return await asyncio.shield(asked)  # one asker's going away is not the others'

    def forget(self, name: str) -> None:
        """Ask again the next time."""
        self._known.pop(name, None)

    def _keep(self, name: str, asked: asyncio.Task[Upstream]) -> None:
        del self._asked[name]
        if not asked.cancelled() and asked.exception() is None:
            self._known[name] = (monotonic() + self._seconds, asked.result())
