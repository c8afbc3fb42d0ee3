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
from domain.rate_limits import Rate, RateLimitedCall, RateLimits, refused

ANSWER_S = 0.5
"""How long Redis may take before this process counts by itself."""
TURN_S = 2.0
"""How long a call waits for its turn to ask; then it alone is counted by this process, for Redis is not away."""
AGAIN_S = 5.0
"""How long it then does so before it asks Redis again."""
QUESTIONS = 32
"""How many connections to Redis a process opens at most."""
SWEEP_S = 30.0
MAX_WINDOWS = 50_000


T = TypeVar("T")


log = logging.getLogger(__name__)


class Memory(MemoryStorage):
    """The library's windows in memory, kept small in a cheaper way.

    Its own sweeps all windows after each call, every one in a thread. Here a sweep comes twice a minute, and a
    flood of new callers between two of them costs the oldest windows, never more memory.
    """

    def __init__(self) -> None:
        super().__init__()
        self._swept_at = 0.0

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` calls if that many fit; nothing is awaited in between, so it is atomic."""
        now = time.time()
        if now >= self._swept_at + SWEEP_S or len(self.events) >= MAX_WINDOWS:
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
        entries = [it for it in self.events.get(key, ())[:limit] if it.atime >= now - expiry]
        return (entries[-1].atime, len(entries)) if entries else (now, 0)

    def _sweep(self, now: float) -> None:
        self._swept_at = now
        self.events = {key: it for key, it in self.events.items() if it and it[0].expiry > now}
        if len(self.events) >= MAX_WINDOWS:
            self.events = dict(islice(self.events.items(), MAX_WINDOWS // 2, None))


class Windows:
    """Calls counted in moving windows, one for each kind and caller."""

    def __init__(self, limits: RateLimits, storage: MemoryStorage | RedisStorage) -> None:
        self._limits = limits
        self._storage = storage
        self._strategy = MovingWindowRateLimiter(storage)

    async def hit(self, asked: Sequence[RateLimitedCall]) -> None:
        """Count all of it, or refuse all of it; raises `RateLimited`.

        Each window is atomic. Several are tested before any is taken; when another call takes the last of one in
        between, what was counted of this refused call stays counted: never too many, once in a while one too few.
        """
        if len(asked) > 1:
            for it in asked:
                await self._require(it, await self._strategy.test(*self._window(it), cost=it.calls))
        for it in asked:
            await self._require(it, await self._strategy.hit(*self._window(it), cost=it.calls))

    async def forget(self, asked: RateLimitedCall) -> None:
        """Begin anew with what was counted there."""
        await self._strategy.clear(*self._window(asked))

    def _rate(self, asked: RateLimitedCall) -> Rate:
        rate = self._limits[asked.kind]
        return Rate(rate.amount * asked.times, rate.seconds)

    def _window(self, asked: RateLimitedCall) -> tuple[RateLimitItem, str, str]:
        return _item(self._rate(asked)), asked.kind, asked.who

    async def _require(self, asked: RateLimitedCall, is_free: bool) -> None:
        if not is_free:
            rate = self._rate(asked)
            raise refused(asked, rate, await self._wait_s(asked, rate))

    async def _wait_s(self, asked: RateLimitedCall, rate: Rate) -> int:
        """In how many whole seconds these calls fit: once the last call that is in their way has left."""
        if asked.calls > rate.amount:
            return rate.seconds
        item, *who = self._window(asked)
        in_the_way = rate.amount - asked.calls + 1
        began, count = await self._storage.get_moving_window(item.key_for(*who), in_the_way, rate.seconds)
        left_s = began + rate.seconds - time.time() if count == in_the_way else 0  # one left just now
        return max(1, math.ceil(left_s))


@lru_cache(maxsize=256)
def _item(rate: Rate) -> RateLimitItem:
    return RateLimitItemPerSecond(rate.amount, rate.seconds, namespace="rates")


class SharedWindows:
    """Windows in Redis; while it does not answer, this process's own.

    Refusing everybody would make Redis one more thing that all of Luthier dies of, and refusing nobody would make
    taking it down the way to guess passwords. So each process then limits what reaches it.
    """

    def __init__(self, shared: RateLimiter, own: RateLimiter) -> None:
        self._shared = shared
        self._own = own
        self._asks_at: float | None = None
        self._questions = asyncio.Semaphore(QUESTIONS)

    async def hit(self, asked: Sequence[RateLimitedCall]) -> None:
        """Count all of it, or refuse all of it; raises `RateLimited`."""
        if not await self._is_answered(self._shared.hit, asked):
            await self._own.hit(asked)

    async def forget(self, asked: RateLimitedCall) -> None:
        """Begin anew with what was counted there, and here."""
        await self._is_answered(self._shared.forget, asked)
        await self._own.forget(asked)

    async def _is_answered(self, question: Callable[[T], Awaitable[None]], asked: T) -> bool:
        """Whether Redis answered this; a refusal is an answer, which is raised."""
        if not await self._has_turn():
            return False
        try:
            return self._may_ask() and await self._is_answered_now(question, asked)
        finally:
            self._questions.release()

    async def _has_turn(self) -> bool:
        """Whether this call may ask, of which no more than so many do at a time; it gives its turn back."""
        try:
            async with asyncio.timeout(TURN_S):
                await self._questions.acquire()
        except TimeoutError:
            return False
        return True

    async def _is_answered_now(self, question: Callable[[T], Awaitable[None]], asked: T) -> bool:
        try:
            async with asyncio.timeout(ANSWER_S):
                await question(asked)
        except RateLimited:
            self._is_back()
            raise
        except (StorageError, OSError) as error:
            self._is_away(error)
            return False
        self._is_back()
        return True

    def _may_ask(self) -> bool:
        """Whether Redis is asked; while it is away one call in a while, and the others need not wait with it."""
        now = time.monotonic()
        if self._asks_at is not None:
            if now < self._asks_at:
                return False
            self._asks_at = now + AGAIN_S
        return True

    def _is_away(self, error: Exception) -> None:
        if self._asks_at is None:
            log.warning(
                "Redis does not answer, so each process counts calls by itself: %s",
                error or type(error).__name__,
            )
        self._asks_at = time.monotonic() + AGAIN_S

    def _is_back(self) -> None:
        if self._asks_at is not None:
            log.warning("Redis answers again: calls are counted for all processes together")
        self._asks_at = None


@asynccontextmanager
async def open_rates(limits: RateLimits | None, url: str) -> AsyncIterator[RateLimiter | None]:
    """What counts calls, None when nothing is limited; `url` is memory:// or a Redis's."""
    if limits is None:
        yield None
    elif url.startswith("memory:"):
        yield Windows(limits, Memory())
    else:
        storage = RedisStorage(url, implementation="redispy", wrap_exceptions=True, key_prefix="luthier")
        try:
            yield SharedWindows(Windows(limits, storage), Windows(limits, Memory()))
        finally:
            await storage.bridge.get_connection().aclose()  # type: ignore[attr-defined]  # redis-py's has it
