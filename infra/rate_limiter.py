"""Rate limits with the library `limits`: moving windows in this process, or in a Redis that many share."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from itertools import islice
from typing import TypeVar

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.storage.memory import Entry
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError

from domain.errors import RateLimited
from domain.ports.rate_limiter import RateLimiter
from domain.rate_limits import Rate, RateLimitedCall, RateLimits, rate_limit_error

REDIS_TIMEOUT_S = 0.5
"""Seconds that Redis may take before this process counts by itself."""
RETRY_S = 5.0
"""Seconds for which this process counts by itself before it tries Redis again."""
MAX_CONNECTIONS = 32
"""Connections to Redis that a process opens at most."""
CONNECTION_WAIT_S = 2.0
"""Seconds that a call waits for a connection; after that this call alone is counted by this process."""
SWEEP_INTERVAL_S = 30.0
MAX_WINDOWS = 50_000


T = TypeVar("T")


logger = logging.getLogger(__name__)


class BoundedMemoryStorage(MemoryStorage):
    """The library's windows in memory, with a bound and cheaper sweeps.

    The library sweeps all windows after each call, each sweep in a thread. This class sweeps every
    `SWEEP_INTERVAL_S` seconds; a flood of new keys between two sweeps evicts the oldest windows.
    """

    def __init__(self) -> None:
        super().__init__()
        self._swept_at = 0.0

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` calls if that many fit; nothing is awaited in between, so it is atomic."""
        now = time.time()
        if now >= self._swept_at + SWEEP_INTERVAL_S or len(self.events) >= MAX_WINDOWS:
            self._sweep(now)
        entries = self.events.setdefault(key, [])
        if amount > limit or (len(entries) > limit - amount and entries[limit - amount].expiry > now):
            return False
        entries[:0] = [Entry(expiry)] * amount
        del entries[limit:]
        return True

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest of the newest `limit` calls was made, and how many those are; as Redis answers."""
        now = time.time()
        entries = [entry for entry in self.events.get(key, ())[:limit] if entry.atime >= now - expiry]
        return (entries[-1].atime, len(entries)) if entries else (now, 0)

    def _sweep(self, now: float) -> None:
        self._swept_at = now
        self.events = {
            key: entries for key, entries in self.events.items() if entries and entries[0].expiry > now
        }
        if len(self.events) >= MAX_WINDOWS:
            self.events = dict(islice(self.events.items(), MAX_WINDOWS // 2, None))


class WindowRateLimiter:
    """Counts calls in moving windows, one for each kind and key."""

    def __init__(self, limits: RateLimits, storage: MemoryStorage | RedisStorage) -> None:
        self._limits = limits
        self._storage = storage
        self._strategy = MovingWindowRateLimiter(storage)

    async def hit(self, calls: Sequence[RateLimitedCall]) -> None:
        """Count all of the calls, or none; raises `RateLimited`.

        Each window is atomic. Several are tested before any is hit. When a concurrent call fills one in between, what
        was already counted of this refused call stays counted: a limit is never exceeded, but may be reached early.
        """
        if len(calls) > 1:
            for call in calls:
                await self._require(call, await self._strategy.test(*self._window(call), cost=call.calls))
        for call in calls:
            await self._require(call, await self._strategy.hit(*self._window(call), cost=call.calls))

    async def reset(self, call: RateLimitedCall) -> None:
        """Delete what was counted under the call's kind and key."""
        await self._strategy.clear(*self._window(call))

    def _rate(self, call: RateLimitedCall) -> Rate:
        rate = self._limits[call.kind]
        return Rate(rate.amount * call.limit_factor, rate.seconds)

    def _window(self, call: RateLimitedCall) -> tuple[RateLimitItem, str, str]:
        return _item(self._rate(call)), call.kind, call.key

    async def _require(self, call: RateLimitedCall, is_allowed: bool) -> None:
        if not is_allowed:
            rate = self._rate(call)
            raise rate_limit_error(call, rate, await self._wait_s(call, rate))

    async def _wait_s(self, call: RateLimitedCall, rate: Rate) -> int:
        """In how many whole seconds these calls fit: once the last call that blocks them leaves the window."""
        if call.calls > rate.amount:
            return rate.seconds
        item, *identifiers = self._window(call)
        blocking = rate.amount - call.calls + 1
        oldest_at, count = await self._storage.get_moving_window(
            item.key_for(*identifiers), blocking, rate.seconds
        )
        remaining_s = oldest_at + rate.seconds - time.time() if count == blocking else 0  # one left just now
        return max(1, math.ceil(remaining_s))


@lru_cache(maxsize=256)
def _item(rate: Rate) -> RateLimitItem:
    return RateLimitItemPerSecond(rate.amount, rate.seconds, namespace="rates")


class FallbackRateLimiter:
    """Counts calls in Redis, and in this process while Redis does not answer.

    Refusing all calls would make Luthier depend on Redis, and refusing none would let an attacker who overloads Redis
    guess passwords. So each process then limits the calls that reach it.
    """

    def __init__(self, shared: RateLimiter, local: RateLimiter) -> None:
        self._shared = shared
        self._local = local
        self._retry_at: float | None = None
        self._connections = asyncio.Semaphore(MAX_CONNECTIONS)

    async def hit(self, calls: Sequence[RateLimitedCall]) -> None:
        """Count all of the calls, or none; raises `RateLimited`."""
        if not await self._try_shared(self._shared.hit, calls):
            await self._local.hit(calls)

    async def reset(self, call: RateLimitedCall) -> None:
        """Delete what was counted under the call's kind and key, in Redis and in this process."""
        await self._try_shared(self._shared.reset, call)
        await self._local.reset(call)

    async def _try_shared(self, request: Callable[[T], Awaitable[None]], argument: T) -> bool:
        """Whether the call reached Redis; raises `RateLimited` where Redis refused it."""
        if not await self._acquire_connection():
            return False
        try:
            return self._may_call_shared() and await self._call_shared(request, argument)
        finally:
            self._connections.release()

    async def _acquire_connection(self) -> bool:
        try:
            async with asyncio.timeout(CONNECTION_WAIT_S):
                await self._connections.acquire()
        except TimeoutError:
            return False
        return True

    async def _call_shared(self, request: Callable[[T], Awaitable[None]], argument: T) -> bool:
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                await request(argument)
        except RateLimited:
            self._mark_available()
            raise
        except (StorageError, OSError) as error:
            self._mark_unavailable(error)
            return False
        self._mark_available()
        return True

    def _may_call_shared(self) -> bool:
        """Whether to call Redis: always while it is available, else once every `RETRY_S` seconds."""
        now = time.monotonic()
        if self._retry_at is not None:
            if now < self._retry_at:
                return False
            self._retry_at = now + RETRY_S
        return True

    def _mark_unavailable(self, error: Exception) -> None:
        if self._retry_at is None:
            logger.warning(
                "Redis does not answer, so each process counts calls by itself: %s",
                error or type(error).__name__,
            )
        self._retry_at = time.monotonic() + RETRY_S

    def _mark_available(self) -> None:
        if self._retry_at is not None:
            logger.warning("Redis answers again: calls are counted for all processes together")
        self._retry_at = None


@asynccontextmanager
async def open_rate_limiter(limits: RateLimits | None, url: str) -> AsyncIterator[RateLimiter | None]:
    """A rate limiter, None when nothing is limited; `url` is memory:// or a Redis's."""
    if limits is None:
        yield None
    elif url.startswith("memory:"):
        yield WindowRateLimiter(limits, BoundedMemoryStorage())
    else:
        storage = RedisStorage(url, implementation="redispy", wrap_exceptions=True, key_prefix="luthier")
        try:
            local = WindowRateLimiter(limits, BoundedMemoryStorage())
            yield FallbackRateLimiter(WindowRateLimiter(limits, storage), local)
        finally:
            await storage.bridge.get_connection().aclose()  # type: ignore[attr-defined]  # redis-py's has it
