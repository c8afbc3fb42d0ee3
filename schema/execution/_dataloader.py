"""What resolvers want from elsewhere: they say what, and all that is wanted at the same time is read with one call."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any

from resolvers.context import Context
from schema.execution._eager import together

BatchResolver = Callable[..., Awaitable[Mapping[str, Any]]]


class Wanted:
    """What a loader has for a key, as it can be awaited; whoever has many of them asks `settled` instead."""

    __slots__ = ("_make", "_nothing", "key", "loader")

    def __init__(
        self, loader: "Loader", key: str, make: Callable[[Any], Any] | None = None, nothing: Any = None
    ) -> None:
        self.loader = loader
        self.key = key
        self._make = make
        self._nothing = nothing

    def then(self, make: Callable[[Any], Any], *, nothing: Any = None) -> "Wanted":
        """What `make` makes of it, or `nothing` where there is none."""
        before = self._make
        both = make if before is None else lambda it: make(before(it))
        return Wanted(self.loader, self.key, both, nothing)

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for it."""
        return self._settled().__await__()

    async def _settled(self) -> Any:
        return self.made(await self.loader.many([self.key]))

    async def of_all(self, keys: Sequence[str]) -> list[Any]:
        """The same for each of these keys."""
        found = await self.loader.many(keys)
        return [self._made(found.get(key)) for key in keys]

    def made(self, found: Mapping[str, Any]) -> Any:
        """It, of what the loader has found."""
        return self._made(found.get(self.key))

    def _made(self, it: Any) -> Any:
        if it is None:
            return self._nothing
        return it if self._make is None else self._make(it)


class Batch:
    """The keys that are read with one call: what there is for them, and who waits for that."""

    __slots__ = ("_answer", "_waiting", "keys")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._waiting: list[asyncio.Future[Mapping[str, Any]]] = []
        self._answer: asyncio.Future[Mapping[str, Any]] | None = None

    async def answer(self) -> Mapping[str, Any]:
        """What it found; raises what it raised. Who waits has a future alone: it may be cancelled without the others."""
        if self._answer is None:
            mine: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
            self._waiting.append(mine)
            return await mine
        return self._answer.result()

    def end(self, answer: asyncio.Future[Mapping[str, Any]]) -> None:
        """Tell those who wait."""
        self._answer = answer
        error = None if answer.cancelled() else answer.exception()
        for it in self._waiting:
            if it.done():
                continue
            if answer.cancelled():
                it.cancel()
            elif error is not None:
                it.set_exception(error)
            else:
                it.set_result(answer.result())


class Loader:
    """Reads the values of keys: with one call for all that are asked for in the same step, and each key once."""

    def __init__(self, context: Context, read: Callable[[list[str]], Awaitable[Mapping[str, Any]]]) -> None:
        self._context = context
        self._read = read
        self._batches: dict[str, Batch] = {}
        self._next: Batch | None = None

    async def many(self, keys: Sequence[str]) -> Mapping[str, Any]:
        """What there is for these keys, and maybe for others."""
        for key in keys:
            if key not in self._batches:
                self._batches[key] = self._batch_with(key)
        batches = {self._batches[key] for key in keys}
        if len(batches) == 1:
            return await batches.pop().answer()
        return {key: it for batch in batches for key, it in (await batch.answer()).items()}

    def _batch_with(self, key: str) -> Batch:
        """The next batch, which begins when all have said what they want."""
        if self._next is None:
            self._next = Batch()
            asyncio.get_running_loop().call_soon(self._begin, self._next)
        self._next.keys.append(key)
        return self._next

    def _begin(self, batch: Batch) -> None:
        self._next = None
        task = asyncio.ensure_future(self._read(batch.keys))
        self._context.tasks.add(task)
        task.add_done_callback(batch.end)


def loader_of(context: Context, resolve: BatchResolver, arguments: tuple[Any, ...]) -> Loader:
    """What reads by a resolver with certain arguments, within one operation."""
    loader: Loader | None = context.loaders.get((resolve, arguments))
    if loader is None:

        async def read(keys: list[str]) -> Mapping[str, Any]:
            return await resolve(context, keys, *arguments)

        loader = context.loaders[resolve, arguments] = Loader(context, read)
    return loader


async def settled(values: list[Any]) -> list[Any]:
    """Values with those in place that were wanted; raises where one is awaitable in another way."""
    kinds = set(map(type, values))
    if any(it is not Wanted and hasattr(it, "__await__") for it in kinds):
        raise TypeError
    if Wanted not in kinds:
        return values
    loaders: dict[Loader, list[str]] = {}
    for it in values:
        if it.__class__ is Wanted:
            loaders.setdefault(it.loader, []).append(it.key)
    answers = await together([loader.many(keys) for loader, keys in loaders.items()])
    found = dict(zip(loaders, answers, strict=True))
    return [it.made(found[it.loader]) if it.__class__ is Wanted else it for it in values]
