"""What is wanted from a loader is read with as few calls as can be, and who wants it depends on no other who does."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from schema.execution._dataloader import DataLoader, Deferred, dataloader_of, resolve_deferred
from schema.shared.context import GraphQLContext
from tests.schema.test_starting import in_turns

pytestmark = pytest.mark.anyio


def context() -> GraphQLContext:
    """A request that needs nothing of the application."""
    nobody: Any = None
    return GraphQLContext(services=nobody, viewer=None, base_url="")


class Shelf:
    """What a loader reads: a letter's capital, but nothing for `none`. It can be held up."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[list[str]] = []
        self.context = context()
        self.loader = DataLoader(self.context.operation, self.read)
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self._error = error

    async def read(self, keys: list[str]) -> Mapping[str, Any]:
        """The capitals of letters."""
        self.calls.append(list(keys))
        self.begun.set()
        await self.open.wait()
        if self._error:
            raise self._error
        return {it: it.upper() for it in keys if it != "none"}

    def wanted(self, key: str) -> Deferred:
        """One letter's capital."""
        return Deferred(self.loader, key)

    async def held_up(self, *asked: list[str]) -> list[asyncio.Task[Any]]:
        """Those who wait for letters, while they are being read."""
        self.open.clear()
        tasks = [asyncio.create_task(self.loader.load_many(it)) for it in asked]
        await self.begun.wait()
        return tasks


async def outcomes(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    """What came out of each, be it an error."""
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_all_that_is_asked_for_in_one_step_is_read_with_one_call_and_each_key_once() -> None:
    shelf = Shelf()
    first, second, third = await asyncio.gather(
        shelf.loader.load_many(["a", "b", "a"]), shelf.loader.load_many(["c", "b"]), shelf.wanted("a")
    )
    assert shelf.calls == [["a", "b", "c"]]
    assert (first["a"], first["b"], second["b"], second["c"], third) == ("A", "B", "B", "C", "A")


async def test_what_was_read_is_not_read_again() -> None:
    shelf = Shelf()
    wanted = shelf.wanted("a")
    assert [await wanted, await wanted, await shelf.wanted("a")] == ["A"] * 3
    assert [await shelf.wanted("none"), await shelf.wanted("none")] == [None, None]
    assert shelf.calls == [["a"], ["none"]]


async def test_what_is_being_read_is_not_read_again() -> None:
    shelf = Shelf()
    tasks = await shelf.held_up(["a", "b"])
    shelf.begun.clear()
    tasks += await shelf.held_up(["b", "c"])
    shelf.open.set()
    first, second = await asyncio.gather(*tasks)
    assert first == {"a": "A", "b": "B"}
    assert (second["b"], second["c"]) == ("B", "C")
    assert shelf.calls == [["a", "b"], ["c"]]


async def test_keys_that_were_read_and_new_ones_are_asked_for_as_one() -> None:
    shelf = Shelf()
    await shelf.loader.load_many(["a", "b"])
    found = await shelf.loader.load_many(["c", "a", "none"])
    assert {it: found.get(it) for it in ("c", "a", "none")} == {"c": "C", "a": "A", "none": None}
    assert shelf.calls == [["a", "b"], ["c", "none"]]


async def test_who_asks_for_nothing_has_nothing_read() -> None:
    shelf = Shelf()
    assert await shelf.loader.load_many([]) == {}
    assert await shelf.wanted("a").of_all([]) == []
    await shelf.wanted("b")
    assert shelf.calls == [["b"]]


@pytest.mark.parametrize("given_up", [0, 1])
async def test_who_gives_up_takes_the_answer_from_no_other(given_up: int) -> None:
    shelf = Shelf()
    tasks = await shelf.held_up(["a", "b"], ["a", "c"])
    tasks[given_up].cancel()
    gone = (await outcomes([tasks.pop(given_up)]))[0]
    shelf.open.set()
    assert isinstance(gone, asyncio.CancelledError)
    assert (await tasks[0])["a"] == "A"
    assert await shelf.wanted("a") == "A"
    assert shelf.calls == [["a", "b", "c"]]


async def test_an_error_reaches_all_who_wait_and_all_who_ask_later() -> None:
    error = LookupError("the shelf fell down")
    shelf = Shelf(error)
    tasks = await shelf.held_up(["a"], ["b"])
    shelf.open.set()
    assert await outcomes(tasks) == [error, error]
    for key in ("a", "b"):
        with pytest.raises(LookupError) as raised:
            await shelf.wanted(key)
        assert raised.value is error
    assert shelf.calls == [["a", "b"]]


async def test_an_error_of_one_call_is_not_one_of_another() -> None:
    shelf = Shelf(LookupError("the shelf fell down"))
    with pytest.raises(LookupError):
        await shelf.wanted("a")
    shelf._error = None
    assert await shelf.wanted("b") == "B"
    with pytest.raises(LookupError):
        await shelf.loader.load_many(["b", "a"])
    assert shelf.calls == [["a"], ["b"]]


async def test_a_read_that_is_cancelled_cancels_who_waits_and_who_asks_later() -> None:
    shelf = Shelf()
    tasks = await shelf.held_up(["a"], ["b"])
    for it in shelf.context.operation.tasks:
        it.cancel()
    assert [type(it) for it in await outcomes(tasks)] == [asyncio.CancelledError] * 2
    with pytest.raises(asyncio.CancelledError):
        await shelf.wanted("a")
    assert shelf.calls == [["a", "b"]]


async def test_what_an_operation_reads_can_be_found_to_end_it() -> None:
    shelf = Shelf()
    tasks = await shelf.held_up(["a"])
    (reading,) = shelf.context.operation.tasks
    assert not reading.done()
    shelf.open.set()
    assert await reading == await tasks[0] == {"a": "A"}


@pytest.mark.parametrize(("key", "made"), [("a", "AA"), ("", ""), ("none", "nothing")])
async def test_something_is_made_of_what_there_is_and_of_nothing_only_nothing(key: str, made: str) -> None:
    asked: list[str] = []

    def doubled(it: str) -> str:
        asked.append(it)
        return it * 2

    assert await Shelf().wanted(key).then(doubled, default="nothing") == made
    assert asked == ([] if key == "none" else [key.upper()])


async def test_nothing_is_null_unless_something_else_is_said() -> None:
    wanted = Shelf().wanted("none")
    assert [await wanted, await wanted.then(str)] == [None, None]


async def test_what_is_wanted_stays_as_it_is_where_something_is_made_of_it() -> None:
    wanted = Shelf().wanted("a")
    assert [await wanted.then(len), await wanted.then(ord), await wanted] == [1, 65, "A"]


async def test_the_same_for_many_keys_comes_in_their_order_and_with_one_call() -> None:
    shelf = Shelf()
    wanted = shelf.wanted("x").then(str.swapcase, default="-")
    assert await wanted.of_all(["c", "none", "a", "c", "b"]) == ["c", "-", "a", "c", "b"]
    assert shelf.calls == [["c", "none", "a", "b"]]


async def told(context: GraphQLContext, keys: list[str], *arguments: int) -> Mapping[str, Any]:
    """What it was called with."""
    return dict.fromkeys(keys, (context, keys, arguments))


async def told_too(context: GraphQLContext, keys: list[str]) -> Mapping[str, Any]:
    """The same by another name."""
    return await told(context, keys)


async def test_a_resolver_has_one_loader_for_the_same_arguments_in_an_operation() -> None:
    one, other = context(), context()
    loader = dataloader_of(one, told, (1, 2))
    assert dataloader_of(one, told, (1, 2)) is loader
    others = [
        dataloader_of(*it) for it in ((one, told, (2, 1)), (one, told_too, (1, 2)), (other, told, (1, 2)))
    ]
    assert len({loader, *others}) == 4


async def test_a_resolver_is_called_with_its_arguments() -> None:
    here = context()
    assert await Deferred(dataloader_of(here, told, (1, 2)), "a") == (here, ["a"], (1, 2))
    assert await Deferred(dataloader_of(here, told_too, ()), "a") == (here, ["a"], ())


async def test_values_that_nobody_waits_for_stay_as_they_are() -> None:
    values = [1, None, "a", [Shelf().wanted("a")]]
    assert await resolve_deferred(values) is values
    assert await resolve_deferred([]) == []


async def test_what_is_wanted_is_put_in_its_place_and_the_rest_stays_there() -> None:
    shelf, other = Shelf(), Shelf()
    values = [
        0,
        shelf.wanted("b"),
        None,
        other.wanted("b").then(ord),
        shelf.wanted("none"),
        "x",
        shelf.wanted("b"),
    ]
    assert await resolve_deferred(values) == [0, "B", None, 66, None, "x", "B"]
    assert (shelf.calls, other.calls) == ([["b", "none"]], [["b"]])


async def test_several_loaders_read_at_the_same_time() -> None:
    all_read = asyncio.Barrier(3)

    async def met(keys: list[str]) -> Mapping[str, Any]:
        async with all_read:
            return {it: it.upper() for it in keys}

    wanted = [Deferred(DataLoader(context().operation, met), it) for it in ("a", "b", "c")]
    async with asyncio.timeout(10):
        assert await resolve_deferred(list(wanted)) == ["A", "B", "C"]


async def test_a_loaders_error_is_raised_when_the_others_are_done() -> None:
    broken, slow = Shelf(LookupError("the shelf fell down")), Shelf()
    slow.open.clear()
    in_turns(20, slow.open.set)
    with pytest.raises(LookupError, match="fell down"):
        await resolve_deferred([broken.wanted("a"), slow.wanted("b")])
    (reading,) = slow.context.operation.tasks
    assert reading.done()


async def test_what_is_awaited_in_another_way_is_refused_before_anything_is_read() -> None:
    shelf = Shelf()
    coroutine, future = shelf.loader.load_many(["b"]), asyncio.get_running_loop().create_future()
    for strange in (coroutine, future):
        with pytest.raises(TypeError):
            await resolve_deferred([shelf.wanted("a"), 1, strange])
    coroutine.close()
    await shelf.wanted("c")
    assert shelf.calls == [["c"]]


async def test_something_can_be_made_of_what_was_made() -> None:
    wanted = Deferred(Shelf().loader, "a").then(lambda it: f"{it}!").then(lambda it: it * 2)
    assert await wanted == "A!A!"


def refused(_context: GraphQLContext, _keys: list[str]) -> Any:
    """A resolver that has not even something to await."""
    raise LookupError("at once")


async def test_a_resolver_that_fails_at_once_leaves_nobody_waiting() -> None:
    with pytest.raises(LookupError, match="at once"):
        await dataloader_of(context(), refused, ()).load_many(["a"])
