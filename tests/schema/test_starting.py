"""Coroutines that begin at once: what waits for nothing is there without a loop, and the others go on as in a task."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any

import pytest
from schema.execution._eager import EagerCoroutine, gather_eagerly


async def given(value: Any) -> Any:
    """Waits for nothing."""
    return value


async def failing(error: BaseException) -> Any:
    """Fails at once."""
    raise error


@coroutine
def wish(what: str) -> Generator[str, Any, Any]:
    """Waits for something, whatever runs it."""
    return (yield what)


def end_of(steps: Generator[Any, Any, Any], step: Callable[[], Any]) -> Any:
    """What comes out by the last step."""
    with pytest.raises(StopIteration) as end:
        step()
    assert list(steps) == []
    return end.value.value


def test_what_waits_for_nothing_is_over_at_once_and_needs_no_loop() -> None:
    started = EagerCoroutine(given(7))
    assert started.is_done
    assert started.result() == 7
    steps = started.__await__()
    assert end_of(steps, lambda: next(steps)) == 7


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError(), KeyboardInterrupt()])
def test_what_fails_at_once_says_so_only_when_it_is_asked(error: BaseException) -> None:
    started = EagerCoroutine(failing(error))
    assert started.is_done
    with pytest.raises(type(error)) as raised:
        started.result()
    assert raised.value is error
    with pytest.raises(type(error)):
        next(started.__await__())


def test_what_waits_is_handed_on_and_resumed_with_what_comes_of_it() -> None:
    async def wishes() -> list[Any]:
        return [await wish("first"), await wish("second")]

    started = EagerCoroutine(wishes())
    assert not started.is_done
    steps = started.__await__()
    assert next(steps) == "first"
    assert steps.send(1) == "second"
    assert not started.is_done
    assert end_of(steps, lambda: steps.send(2)) == [1, 2]
    assert started.result() == [1, 2]


def test_an_exception_is_thrown_into_what_waits_which_may_go_on() -> None:
    async def stubborn() -> str:
        try:
            await wish("first")
        except OSError as error:
            return f"{error}, then {await wish('second')}"
        return "nothing went wrong"

    steps = EagerCoroutine(stubborn()).__await__()
    next(steps)
    assert steps.throw(OSError("lost")) == "second"
    assert end_of(steps, lambda: steps.send("found")) == "lost, then found"


def test_an_exception_that_it_does_not_expect_ends_it() -> None:
    started = EagerCoroutine(given_by("something"))
    steps = started.__await__()
    next(steps)
    with pytest.raises(OSError, match="lost"):
        steps.throw(OSError("lost"))
    assert started.is_done
    with pytest.raises(OSError, match="lost"):
        started.result()


async def given_by(what: str) -> Any:
    """Waits for one thing."""
    return await wish(what)


@pytest.mark.parametrize("let_go", [lambda steps: steps.close(), lambda _: None], ids=["closed", "dropped"])
def test_what_is_given_up_is_closed(let_go: Callable[[Any], None]) -> None:
    notes: list[str] = []

    async def noting() -> None:
        try:
            await wish("something")
        finally:
            notes.append("closed")

    steps = EagerCoroutine(noting()).__await__()
    next(steps)
    assert notes == []
    let_go(steps)
    del steps
    assert notes == ["closed"]


def in_turns(turns: int, do: Callable[[], None]) -> None:
    """Does something when the loop has turned that often."""
    if turns == 0:
        do()
    else:
        asyncio.get_running_loop().call_soon(in_turns, turns - 1, do)


class Gate:
    """Where coroutines wait, and what they did."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._opened = asyncio.Event()
        self._full = asyncio.Event()

    async def passed(self, name: str, *, of: int = 1) -> str:
        """Waits until the gate opens; `of` tells how many come."""
        self.notes.append(f"{name} begins")
        if len(self.notes) == of:
            self._full.set()
        try:
            await self._opened.wait()
        except asyncio.CancelledError:
            self.notes.append(f"{name} is cancelled")
            raise
        self.notes.append(f"{name} ends")
        return name

    async def full(self) -> None:
        """Waits until all have come."""
        await self._full.wait()

    def open_soon(self) -> None:
        """Opens the gate when whoever does not wait for it has had the time to end."""
        in_turns(20, self._opened.set)

    async def reached(self, name: str, of: int) -> str:
        """The same by one that has waited before, and so is in a task now."""
        await asyncio.get_running_loop().run_in_executor(None, int)
        return await self.passed(name, of=of)

    async def failed(self, name: str) -> str:
        """Fails after a turn, long before the gate opens."""
        self.notes.append(f"{name} begins")
        turned = asyncio.Event()
        in_turns(1, turned.set)
        await turned.wait()
        self.notes.append(f"{name} fails")
        raise ValueError(name)


@pytest.mark.anyio
async def test_a_task_can_await_what_has_begun() -> None:
    gate = Gate()
    task = asyncio.ensure_future(EagerCoroutine(gate.passed("a")))
    assert gate.notes == ["a begins"]
    gate.open_soon()
    assert await task == "a"


@pytest.mark.anyio
async def test_the_cancellation_of_its_task_reaches_what_waits() -> None:
    gate = Gate()
    task = asyncio.ensure_future(EagerCoroutine(gate.reached("a", 1)))
    await gate.full()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.notes == ["a begins", "a is cancelled"]


@pytest.mark.anyio
async def test_what_it_waits_for_may_fail() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def caught() -> str:
        try:
            await future
        except LookupError as error:
            return str(error.args[0])
        return "it did not"

    started = EagerCoroutine(caught())
    future.set_exception(LookupError("it did"))
    assert await started == "it did"


@pytest.mark.parametrize("values", [[], [1], [1, 2, 3]])
def test_those_that_wait_for_nothing_are_together_without_a_loop(values: list[int]) -> None:
    whole = gather_eagerly([given(it) for it in values])
    with pytest.raises(StopIteration) as end:
        whole.send(None)
    assert end.value.value == values


@pytest.mark.anyio
async def test_all_begin_before_one_ends_and_their_values_keep_the_order() -> None:
    gate = Gate()
    gate.open_soon()
    assert await gather_eagerly([gate.passed("a"), given("b"), gate.passed("c")]) == ["a", "b", "c"]
    assert gate.notes == ["a begins", "c begins", "a ends", "c ends"]


@pytest.mark.anyio
async def test_one_alone_takes_no_task_of_its_own() -> None:
    gate = Gate()

    async def in_task() -> tuple[str, Any]:
        return await gate.passed("a"), asyncio.current_task()

    gate.open_soon()
    assert await gather_eagerly([in_task()]) == [("a", asyncio.current_task())]


FAILING: list[tuple[Callable[[Gate], list[Coroutine[Any, Any, Any]]], type[BaseException], str]] = [
    (lambda gate: [failing(KeyError("a")), gate.passed("b")], KeyError, "'a'"),
    (lambda gate: [gate.passed("b"), failing(KeyError("a")), given(1)], KeyError, "'a'"),
    (lambda gate: [gate.failed("b"), failing(KeyError("not the first")), gate.passed("c")], ValueError, "b"),
    (lambda gate: [gate.passed("b"), gate.failed("c"), gate.failed("d")], ValueError, "c"),
    (lambda gate: [failing(asyncio.CancelledError("a")), gate.passed("b")], asyncio.CancelledError, "a"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("coroutines", "kind", "says"), FAILING)
async def test_the_first_ones_error_is_raised_when_none_is_under_way_any_more(
    coroutines: Callable[[Gate], list[Coroutine[Any, Any, Any]]], kind: type[BaseException], says: str
) -> None:
    gate = Gate()
    gate.open_soon()
    with pytest.raises(kind, match=f"^{says}$"):
        await gather_eagerly(coroutines(gate))
    begun = [it for it in gate.notes if it.endswith("begins")]
    assert gate.notes[: len(begun)] == begun
    assert len(gate.notes) == 2 * len(begun)


@pytest.mark.anyio
async def test_all_that_are_under_way_are_cancelled_with_those_who_want_them() -> None:
    gate = Gate()
    task = asyncio.create_task(gather_eagerly([gate.reached("a", 2), given(1), gate.reached("b", 2)]))
    await gate.full()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(gate.notes) == ["a begins", "a is cancelled", "b begins", "b is cancelled"]


@pytest.mark.anyio
async def test_many_can_wait_for_the_same_future() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def waits() -> int:
        return await future

    asyncio.get_running_loop().call_soon(future.set_result, 1)
    assert await gather_eagerly([waits(), waits()]) == [1, 1]
