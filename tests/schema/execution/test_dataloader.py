"""A DataLoader reads with as few calls as can be, and a cancelled waiter affects no other."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from schema.execution._dataloader import DataLoader, Deferred, dataloader_of, resolve_deferred
from schema.shared.context import GraphQLContext

pytestmark = pytest.mark.anyio


def context() -> GraphQLContext:
    """A context without services."""
    nobody: Any = None
    return GraphQLContext(services=nobody, viewer=None, base_url="")


class Shelf:
    """A DataLoader that reads the capitals of letters, and nothing for `none`; reads block while `open` is clear."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[list[str]] = []
        self.context = context()
        self.loader = DataLoader(self.context.operation, self.read)
        self.started = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self._error = error

    async def read(self, keys: list[str]) -> Mapping[str, Any]:
        """The capitals of letters."""
        self.calls.append(list(keys))
        self.started.set()
        await self.open.wait()
        if self._error:
            raise self._error
        return {key: key.upper() for key in keys if key != "none"}

    def deferred(self, key: str) -> Deferred:
        """One letter's capital."""
        return Deferred(self.loader, key)

    async def load_while_blocked(self, *lists: list[str]) -> list[asyncio.Task[Any]]:
        """The tasks that load these lists of keys, while the read of the first is blocked."""
        self.open.clear()
        tasks = [asyncio.create_task(self.loader.load_many(keys)) for keys in lists]
        await self.started.wait()
        return tasks


async def outcomes(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    """The result or the error of each task."""
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_keys_loaded_in_one_step_are_read_with_one_call_and_each_once() -> None:
    shelf = Shelf()
    first, second, third = await asyncio.gather(
        shelf.loader.load_many(["a", "b", "a"]), shelf.loader.load_many(["c", "b"]), shelf.deferred("a")
    )
    assert shelf.calls == [["a", "b", "c"]]
    assert (first["a"], first["b"], second["b"], second["c"], third) == ("A", "B", "B", "C", "A")


async def test_a_loaded_key_is_cached() -> None:
    shelf = Shelf()
    deferred = shelf.deferred("a")
    assert [await deferred, await deferred, await shelf.deferred("a")] == ["A"] * 3
    assert [await shelf.deferred("none"), await shelf.deferred("none")] == [None, None]
    assert shelf.calls == [["a"], ["none"]]


async def test_a_key_that_is_being_read_is_not_read_again() -> None:
    shelf = Shelf()
    tasks = await shelf.load_while_blocked(["a", "b"])
    shelf.started.clear()
    tasks += await shelf.load_while_blocked(["b", "c"])
    shelf.open.set()
    first, second = await asyncio.gather(*tasks)
    assert first == {"a": "A", "b": "B"}
    assert (second["b"], second["c"]) == ("B", "C")
    assert shelf.calls == [["a", "b"], ["c"]]


async def test_cached_and_new_keys_can_be_loaded_together() -> None:
    shelf = Shelf()
    await shelf.loader.load_many(["a", "b"])
    found = await shelf.loader.load_many(["c", "a", "none"])
    assert {key: found.get(key) for key in ("c", "a", "none")} == {"c": "C", "a": "A", "none": None}
    assert shelf.calls == [["a", "b"], ["c", "none"]]


async def test_no_keys_are_loaded_without_a_call() -> None:
    shelf = Shelf()
    assert await shelf.loader.load_many([]) == {}
    assert await shelf.deferred("a").of_all([]) == []
    await shelf.deferred("b")
    assert shelf.calls == [["b"]]


@pytest.mark.parametrize("given_up", [0, 1])
async def test_a_cancelled_waiter_does_not_cancel_the_read_for_others(given_up: int) -> None:
    shelf = Shelf()
    tasks = await shelf.load_while_blocked(["a", "b"], ["a", "c"])
    tasks[given_up].cancel()
    gone = (await outcomes([tasks.pop(given_up)]))[0]
    shelf.open.set()
    assert isinstance(gone, asyncio.CancelledError)
    assert (await tasks[0])["a"] == "A"
    assert await shelf.deferred("a") == "A"
    assert shelf.calls == [["a", "b", "c"]]


async def test_an_error_is_raised_to_every_waiter_and_for_later_loads() -> None:
    error = LookupError("the shelf fell down")
    shelf = Shelf(error)
    tasks = await shelf.load_while_blocked(["a"], ["b"])
    shelf.open.set()
    assert await outcomes(tasks) == [error, error]
    for key in ("a", "b"):
        with pytest.raises(LookupError) as raised:
            await shelf.deferred(key)
        assert raised.value is error
    assert shelf.calls == [["a", "b"]]


async def test_an_error_of_one_call_does_not_affect_another() -> None:
    shelf = Shelf(LookupError("the shelf fell down"))
    with pytest.raises(LookupError):
        await shelf.deferred("a")
    shelf._error = None
    assert await shelf.deferred("b") == "B"
    with pytest.raises(LookupError):
        await shelf.loader.load_many(["b", "a"])
    assert shelf.calls == [["a"], ["b"]]


async def test_a_cancelled_read_cancels_waiters_and_later_loads() -> None:
    shelf = Shelf()
    tasks = await shelf.load_while_blocked(["a"], ["b"])
    for task in shelf.context.operation.tasks:
        task.cancel()
    assert [type(outcome) for outcome in await outcomes(tasks)] == [asyncio.CancelledError] * 2
    with pytest.raises(asyncio.CancelledError):
        await shelf.deferred("a")
    assert shelf.calls == [["a", "b"]]


async def test_reads_under_way_are_tasks_of_the_operation() -> None:
    shelf = Shelf()
    tasks = await shelf.load_while_blocked(["a"])
    (reading,) = shelf.context.operation.tasks
    assert not reading.done()
    shelf.open.set()
    assert await reading == await tasks[0] == {"a": "A"}


@pytest.mark.parametrize(("key", "made"), [("a", "AA"), ("", ""), ("none", "nothing")])
async def test_then_converts_a_value_and_gives_the_default_without_one(key: str, made: str) -> None:
    converted: list[str] = []

    def doubled(value: str) -> str:
        converted.append(value)
        return value * 2

    assert await Shelf().deferred(key).then(doubled, default="nothing") == made
    assert converted == ([] if key == "none" else [key.upper()])


async def test_a_missing_value_is_null_without_a_default() -> None:
    deferred = Shelf().deferred("none")
    assert [await deferred, await deferred.then(str)] == [None, None]


async def test_then_does_not_change_the_original() -> None:
    deferred = Shelf().deferred("a")
    assert [await deferred.then(len), await deferred.then(ord), await deferred] == [1, 65, "A"]


async def test_of_all_gives_values_in_the_order_of_the_keys_with_one_call() -> None:
    shelf = Shelf()
    deferred = shelf.deferred("x").then(str.swapcase, default="-")
    assert await deferred.of_all(["c", "none", "a", "c", "b"]) == ["c", "-", "a", "c", "b"]
    assert shelf.calls == [["c", "none", "a", "b"]]


async def arguments_of(context: GraphQLContext, keys: list[str], *arguments: int) -> Mapping[str, Any]:
    """For each key, the arguments of this call."""
    return dict.fromkeys(keys, (context, keys, arguments))


async def same_arguments_of(context: GraphQLContext, keys: list[str]) -> Mapping[str, Any]:
    """Another resolver that returns what `arguments_of` does."""
    return await arguments_of(context, keys)


async def test_an_operation_has_one_dataloader_for_each_resolver_and_arguments() -> None:
    one, other = context(), context()
    loader = dataloader_of(one, arguments_of, (1, 2))
    assert dataloader_of(one, arguments_of, (1, 2)) is loader
    others = [
        dataloader_of(*arguments)
        for arguments in (
            (one, arguments_of, (2, 1)),
            (one, same_arguments_of, (1, 2)),
            (other, arguments_of, (1, 2)),
        )
    ]
    assert len({loader, *others}) == 4


async def test_a_resolver_is_called_with_its_arguments() -> None:
    here = context()
    assert await Deferred(dataloader_of(here, arguments_of, (1, 2)), "a") == (here, ["a"], (1, 2))
    assert await Deferred(dataloader_of(here, same_arguments_of, ()), "a") == (here, ["a"], ())


async def test_values_without_deferred_ones_are_returned_unchanged() -> None:
    values = [1, None, "a", [Shelf().deferred("a")]]
    assert await resolve_deferred(values) is values
    assert await resolve_deferred([]) == []


async def test_deferred_values_are_resolved_in_place() -> None:
    shelf, other = Shelf(), Shelf()
    values = [
        0,
        shelf.deferred("b"),
        None,
        other.deferred("b").then(ord),
        shelf.deferred("none"),
        "x",
        shelf.deferred("b"),
    ]
    assert await resolve_deferred(values) == [0, "B", None, 66, None, "x", "B"]
    assert (shelf.calls, other.calls) == ([["b", "none"]], [["b"]])


async def test_several_dataloaders_read_concurrently() -> None:
    all_read = asyncio.Barrier(3)

    async def met(keys: list[str]) -> Mapping[str, Any]:
        async with all_read:
            return {key: key.upper() for key in keys}

    deferred = [Deferred(DataLoader(context().operation, met), key) for key in ("a", "b", "c")]
    async with asyncio.timeout(10):
        assert await resolve_deferred(list(deferred)) == ["A", "B", "C"]


def after_turns(turns: int, do: Callable[[], None]) -> None:
    """Call `do` once the event loop has turned so often."""
    if turns == 0:
        do()
    else:
        asyncio.get_running_loop().call_soon(after_turns, turns - 1, do)


async def test_a_dataloaders_error_is_raised_once_the_others_are_done() -> None:
    broken, slow = Shelf(LookupError("the shelf fell down")), Shelf()
    slow.open.clear()
    after_turns(20, slow.open.set)
    with pytest.raises(LookupError, match="fell down"):
        await resolve_deferred([broken.deferred("a"), slow.deferred("b")])
    (reading,) = slow.context.operation.tasks
    assert reading.done()


async def test_other_awaitables_raise_a_type_error_before_anything_is_read() -> None:
    shelf = Shelf()
    coroutine, future = shelf.loader.load_many(["b"]), asyncio.get_running_loop().create_future()
    for strange in (coroutine, future):
        with pytest.raises(TypeError):
            await resolve_deferred([shelf.deferred("a"), 1, strange])
    coroutine.close()
    await shelf.deferred("c")
    assert shelf.calls == [["c"]]


async def test_conversions_can_be_chained() -> None:
    deferred = Deferred(Shelf().loader, "a").then(lambda value: f"{value}!").then(lambda value: value * 2)
    assert await deferred == "A!A!"


def refused(_context: GraphQLContext, _keys: list[str]) -> Any:
    """A batch function that raises before there is anything to await."""
    raise LookupError("at once")


async def test_a_batch_function_that_raises_before_awaiting_leaves_no_waiter() -> None:
    with pytest.raises(LookupError, match="at once"):
        await dataloader_of(context(), refused, ()).load_many(["a"])
