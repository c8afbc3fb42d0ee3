"""A short cache of the upstreams that a runtime returned, so that not every request asks the runtime."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from time import monotonic
from typing import Any

from domain.ports.model_runtime import Upstream


class UpstreamCache:
    """Upstreams by the name of the model, each for `ttl_s` seconds; concurrent callers share one request."""

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._cached: dict[str, tuple[float, Upstream]] = {}
        self._pending: dict[str, asyncio.Task[Upstream]] = {}

    async def get(self, name: str, load: Callable[[], Coroutine[Any, Any, Upstream]]) -> Upstream:
        """The upstream of `name`, loaded when none is cached. What `load` raises is raised, and not cached."""
        expires_at, upstream = self._cached.get(name, (0.0, None))
        if upstream is not None and monotonic() < expires_at:
            return upstream
        loading = self._pending.get(name)
        if loading is None:
            loading = self._pending[name] = asyncio.create_task(load())
            loading.add_done_callback(partial(self._store, name))
        return await asyncio.shield(loading)  # the other callers still wait when this one is cancelled

    def invalidate(self, name: str) -> None:
        """Load the upstream of `name` again the next time."""
        self._cached.pop(name, None)

    def _store(self, name: str, loading: asyncio.Task[Upstream]) -> None:
        del self._pending[name]
        if not loading.cancelled() and loading.exception() is None:
            self._cached[name] = (monotonic() + self._ttl_s, loading.result())
