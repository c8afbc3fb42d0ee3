"""A task whose result many await: it runs once, all get its result, and it is cancelled with the last of them."""

import asyncio

import pytest

from infra.events._shared_task import WAKE_BATCH, SharedTask

pytestmark = pytest.mark.anyio


class Work:
    """Work that ends when `outcome` is set."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.runs = 0
        self.cancelled = asyncio.Event()

    async def run(self) -> int:
        """The outcome."""
        self.runs += 1
        try:
            return await self.outcome
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def waiters(shared: SharedTask[int], count: int) -> list[asyncio.Task[int]]:
    """So many tasks that wait for the result."""
    tasks = [asyncio.create_task(shared.result()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_all_waiters_get_the_result_of_one_task() -> None:
    work = Work()
    shared = SharedTask(work.run())
    tasks = await waiters(shared, 3 * WAKE_BATCH)
    assert not shared.is_closed
    work.outcome.set_result(7)
    assert await asyncio.gather(*tasks) == [7] * 3 * WAKE_BATCH
    assert work.runs == 1
    assert shared.is_closed


async def test_waiters_that_are_woken_run_before_the_next_batch_is_woken() -> None:
    work = Work()
    tasks = await waiters(SharedTask(work.run()), 2 * WAKE_BATCH)
    seen = list[int]()
    tasks[0].add_done_callback(lambda _: seen.append(sum(task.done() for task in tasks)))
    work.outcome.set_result(7)
    await asyncio.gather(*tasks)
    assert 0 < seen[0] <= WAKE_BATCH


async def test_all_waiters_get_the_exception_of_one_task() -> None:
    work = Work()
    tasks = await waiters(SharedTask(work.run()), 2)
    work.outcome.set_exception(LookupError("no"))
    assert [type(error) for error in await asyncio.gather(*tasks, return_exceptions=True)] == [
        LookupError
    ] * 2


async def test_the_task_is_cancelled_with_the_last_waiter_and_not_before() -> None:
    work = Work()
    shared = SharedTask(work.run())
    first, second, third = await waiters(shared, 3)
    first.cancel()
    second.cancel()
    await asyncio.wait([first, second])
    assert not work.cancelled.is_set()
    third.cancel()
    await asyncio.wait([third])
    assert shared.is_closed
    async with asyncio.timeout(5):
        await work.cancelled.wait()
