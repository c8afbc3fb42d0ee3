"""Work that many wait for: done once, told to everybody, and given up with the last of them."""

import asyncio

import pytest

from infra.events.shared_task import AT_ONCE, Shared

pytestmark = pytest.mark.anyio


class Work:
    """Something that ends when it is told to."""

    def __init__(self) -> None:
        self.found: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.begun = 0
        self.given_up = asyncio.Event()

    async def run(self) -> int:
        """What it is told."""
        self.begun += 1
        try:
            return await self.found
        except asyncio.CancelledError:
            self.given_up.set()
            raise


async def waiting(shared: Shared[int], count: int) -> list[asyncio.Task[int]]:
    """So many who wait by now."""
    tasks = [asyncio.create_task(shared.result()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_everybody_is_told_what_one_task_found() -> None:
    work = Work()
    shared = Shared(work.run())
    tasks = await waiting(shared, 3 * AT_ONCE)
    assert not shared.is_closed
    work.found.set_result(7)
    assert await asyncio.gather(*tasks) == [7] * 3 * AT_ONCE
    assert work.begun == 1
    assert shared.is_closed


async def test_those_who_are_told_get_turns_of_the_loop_in_between() -> None:
    work = Work()
    tasks = await waiting(Shared(work.run()), 2 * AT_ONCE)
    seen = list[int]()
    tasks[0].add_done_callback(lambda _: seen.append(sum(it.done() for it in tasks)))
    work.found.set_result(7)
    await asyncio.gather(*tasks)
    assert 0 < seen[0] <= AT_ONCE


async def test_everybody_is_told_why_it_failed() -> None:
    work = Work()
    tasks = await waiting(Shared(work.run()), 2)
    work.found.set_exception(LookupError("no"))
    assert [type(it) for it in await asyncio.gather(*tasks, return_exceptions=True)] == [LookupError] * 2


async def test_it_is_given_up_with_the_last_who_waits_and_not_before() -> None:
    work = Work()
    shared = Shared(work.run())
    first, second, third = await waiting(shared, 3)
    first.cancel()
    second.cancel()
    await asyncio.wait([first, second])
    assert not work.given_up.is_set()
    third.cancel()
    await asyncio.wait([third])
    assert shared.is_closed
    async with asyncio.timeout(5):
        await work.given_up.wait()
