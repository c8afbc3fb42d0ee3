"""DataLoaders, to which resolvers defer: the keys that one step of the event loop requests are read with one call."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from typing import Any, TypeVar, cast

from schema.execution._state import HasOperationState, OperationState

T = TypeVar("T")
BatchFunction = Callable[..., Awaitable[Mapping[str, Any]]]
"""Called with a context, keys and further arguments; returns values by key, without the keys that have none."""


class Deferred:
    """The value that a DataLoader has for a key. It can be awaited; for many at once use `resolve_deferred`."""

    __slots__ = ("_convert", "_default", "key", "loader")

    def __init__(
        self,
        loader: "DataLoader",
        key: str,
        convert: Callable[[Any], Any] | None = None,
        default: Any = None,
    ) -> None:
        self.loader = loader
        self.key = key
        self._convert = convert
        self._default = default

    def then(self, convert: Callable[[Any], Any], *, default: Any = None) -> "Deferred":
        """The value converted, or `default` where there is none."""
        before = self._convert
        both = convert if before is None else lambda value: convert(before(value))
        return Deferred(self.loader, self.key, both, default)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._loaded().__await__()

    async def _loaded(self) -> Any:
        return self.value(await self.loader.load_many([self.key]))

    async def of_all(self, keys: Sequence[str]) -> list[Any]:
        """The values of other keys, converted in the same way."""
        values = await self.loader.load_many(keys)
        return [self._converted(values.get(key)) for key in keys]

    def value(self, values: Mapping[str, Any]) -> Any:
        """Its value, converted, out of those that the loader has read."""
        return self._converted(values.get(self.key))

    def _converted(self, value: Any) -> Any:
        if value is None:
            return self._default
        return value if self._convert is None else self._convert(value)


class Batch:
    """The keys that are read with one call, and the futures of the callers that await their values."""

    __slots__ = ("_read", "_waiting", "keys")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._waiting: list[asyncio.Future[Mapping[str, Any]]] = []
        self._read: asyncio.Future[Mapping[str, Any]] | None = None

    async def values(self) -> Mapping[str, Any]:
        """The values that were read; raises the error of the read.

        Each caller waits for its own future, so that one can be cancelled without the others.
        """
        if self._read is None:
            future: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            return await future
        return self._read.result()

    def finish(self, read: asyncio.Future[Mapping[str, Any]]) -> None:
        """Set the result of the read on every waiting future."""
        self._read = read
        error = None if read.cancelled() else read.exception()
        for future in self._waiting:
            if future.done():
                continue
            if read.cancelled():
                future.cancel()
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(read.result())


class DataLoader:
    """Reads the values of keys: with one call for all that the same step requests, and each key once."""

    def __init__(
        self, state: OperationState, read: Callable[[list[str]], Awaitable[Mapping[str, Any]]]
    ) -> None:
        self._state = state
        self._read = read
        self._batches: dict[str, Batch] = {}
        self._next: Batch | None = None

    async def load_many(self, keys: Sequence[str]) -> Mapping[str, Any]:
        """The values of these keys, and maybe of others."""
        for key in keys:
            if key not in self._batches:
                self._batches[key] = self._batch_with(key)
        batches = {self._batches[key] for key in keys}
        if len(batches) == 1:
            return await batches.pop().values()
        return {key: value for batch in batches for key, value in (await batch.values()).items()}

    def _batch_with(self, key: str) -> Batch:
        """The next batch, which is read after this step of the event loop."""
        if self._next is None:
            self._next = Batch()
            asyncio.get_running_loop().call_soon(self._start, self._next)
        self._next.keys.append(key)
        return self._next

    def _start(self, batch: Batch) -> None:
        self._next = None
        task = asyncio.ensure_future(self._read(batch.keys))
        self._state.tasks.add(task)
        task.add_done_callback(batch.finish)


def dataloader_of(context: HasOperationState, read: BatchFunction, arguments: tuple[Any, ...]) -> DataLoader:
    """The operation's DataLoader that reads by this function with these arguments."""
    state = context.operation
    loader: DataLoader | None = state.loaders.get((read, arguments))
    if loader is None:

        async def read_batch(keys: list[str]) -> Mapping[str, Any]:
            return await read(context, keys, *arguments)

        loader = state.loaders[read, arguments] = DataLoader(state, read_batch)
    return loader


async def resolve_deferred(values: list[Any]) -> list[Any]:
    """Values with those that are `Deferred` loaded; raises `TypeError` where one is awaitable in another way."""
    kinds = set(map(type, values))
    if any(kind is not Deferred and hasattr(kind, "__await__") for kind in kinds):
        raise TypeError
    if Deferred not in kinds:
        return values
    keys: dict[DataLoader, list[str]] = {}
    for value in values:
        if value.__class__ is Deferred:
            keys.setdefault(value.loader, []).append(value.key)
    read = await gather_all([loader.load_many(of_loader) for loader, of_loader in keys.items()])
    found = dict(zip(keys, read, strict=True))
    return [value.value(found[value.loader]) if value.__class__ is Deferred else value for value in values]


async def gather_all(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all coroutines; raises the first one's error once none runs any more."""
    if len(coroutines) == 1:
        return [await coroutines[0]]
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast(list[T], results)
