"""Columns: the values of one field of many objects, completed together.

To complete a value is to turn it, as a resolver returned it, into the value of the result (GraphQL specification, June 2018,
6.4.3). The steps are the same for each object of a list, so they are planned once; and where a resolver defers to a
DataLoader, one call loads for all objects, without a task and a future for each.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from strawberry.types.cast import TYPE_CAST_ATTRIBUTE

from schema.execution._bound_resolver import BoundResolver
from schema.execution._dataloader import Deferred, gather_all, resolve_deferred
from schema.execution._leaf_values import NeedsFallback, Values, require_classes
from schema.execution._partial_rows import ConcatenatedRows, PartialRows

LISTS: frozenset[type] = frozenset({list, tuple})
PARTIAL: frozenset[type] = frozenset({PartialRows})
Sources = Values | ConcatenatedRows
"""The objects that have a field."""
Bind = Callable[[BoundResolver], Callable[[Any], Any]]
"""Binds a resolver to the running operation; the bound function returns the resolver's value for an object."""


@dataclass(frozen=True, slots=True)
class ColumnCompletion:
    """The completion of a type: `now` completes a column of values, `later` does where resolvers are called for it.

    Both raise `NeedsFallback`, or any other exception, where a value is not of the class that its type promises. They do
    not depend on an operation, so they serve every operation with the same document.
    """

    now: Callable[[Any], Values] | None
    later: Callable[[Any, Bind], Coroutine[Any, Any, Values]] | None = None

    async def complete(self, values: Any, bind: Bind) -> Values:
        """The completed values."""
        if self.now is not None:
            return self.now(values)
        assert self.later is not None
        return await self.later(values, bind)


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """The plan of a field: `read` reads it as an attribute of many objects, or else `resolver` is called for them."""

    completion: ColumnCompletion
    read: Callable[[Sources], Values] | None
    resolver: BoundResolver | None = None

    @property
    def is_attribute(self) -> bool:
        """Whether neither the field nor any field below it has a resolver."""
        return self.read is not None and self.completion.now is not None

    def complete_now(self, sources: Sources) -> Values:
        """The completed values of the objects; only for a field that `is_attribute`."""
        assert self.read is not None
        assert self.completion.now is not None
        return self.completion.now(self.read(sources))

    async def complete(self, sources: Sources, bind: Bind) -> Values:
        """The completed values of the objects."""
        values = await self._resolved(sources, bind) if self.read is None else self.read(sources)
        return await self.completion.complete(values, bind)

    async def _resolved(self, sources: Sources, bind: Bind) -> Values:
        """The resolver's values; one that needs only ids, and defers to a DataLoader by them, is called once."""
        assert self.resolver is not None
        resolve = bind(self.resolver)
        if self.resolver.needs_only_id and len(sources) > 1:
            first = next(iter(sources))
            deferred = resolve(first)
            if isinstance(deferred, Deferred) and deferred.key == first.id:
                return await deferred.of_all(IDS(sources))
        return await resolve_deferred(list(map(resolve, sources)))


def nullable_completion(inner: ColumnCompletion) -> ColumnCompletion:
    """A completion of values that may be null, from that of the others."""
    return _around(inner, _without_nulls, _with_nulls)


def list_completion(item: ColumnCompletion) -> ColumnCompletion:
    """A completion of lists, from that of their items."""
    return _around(item, _flattened, _regrouped)


def object_completion(check: Callable[[Sources], None], fields: Mapping[str, FieldPlan]) -> ColumnCompletion:
    """A completion of objects; `check` raises `NeedsFallback` unless they are of the expected class."""
    attributes = {name: plan for name, plan in fields.items() if plan.is_attribute}
    resolved = {name: plan for name, plan in fields.items() if not plan.is_attribute}

    def now(sources: Sources) -> Values:
        check(sources)
        return _objects({name: plan.complete_now(sources) for name, plan in attributes.items()}, len(sources))

    async def later(sources: Sources, bind: Bind) -> Values:
        check(sources)
        columns = {name: plan.complete_now(sources) for name, plan in attributes.items()}
        completed = await gather_all([plan.complete(sources, bind) for plan in resolved.values()])
        columns |= zip(resolved, completed, strict=True)
        return _objects({name: columns[name] for name in fields}, len(sources))

    return ColumnCompletion(None, later) if resolved else ColumnCompletion(now)


def attribute_reader(name: str) -> Callable[[Sources], Values]:
    """A function that reads an attribute of objects."""
    get = attrgetter(name)

    def read(sources: Sources) -> Values:
        return sources.column(name) if isinstance(sources, ConcatenatedRows) else list(map(get, sources))

    return read


IDS = attribute_reader("id")


def instance_check(classes: frozenset[type]) -> Callable[[Sources], None]:
    """A check that raises `NeedsFallback` unless all objects are of these classes, and not cast to other types."""

    def check(sources: Sources) -> None:
        if isinstance(sources, ConcatenatedRows):
            if sources.cls not in classes:
                raise NeedsFallback
            return
        require_classes(classes, sources)
        if any(hasattr(source, TYPE_CAST_ATTRIBUTE) for source in sources):
            raise NeedsFallback

    return check


def _around(
    inner: ColumnCompletion, unwrap: Callable[[Values], Sources], wrap: Callable[[Values, Values], Values]
) -> ColumnCompletion:
    """A completion of values that contain those of `inner`; `wrap` is given the outer and the completed inner values."""
    inner_now, inner_later = inner.now, inner.later

    async def later(values: Values, bind: Bind) -> Values:
        assert inner_later is not None
        return wrap(values, await inner_later(unwrap(values), bind))

    if inner_now is None:
        return ColumnCompletion(None, later)
    return ColumnCompletion(lambda values: wrap(values, inner_now(unwrap(values))))


def _without_nulls(values: Values) -> Values:
    return [value for value in values if value is not None] if type(None) in map(type, values) else values


def _with_nulls(values: Values, completed: Values) -> Values:
    if len(completed) == len(values):
        return completed
    others = iter(completed)
    return [None if value is None else next(others) for value in values]


def _flattened(lists: Values) -> Values | ConcatenatedRows:
    if PARTIAL.issuperset(map(type, lists)):
        return ConcatenatedRows(lists) if lists else []
    require_classes(LISTS, lists)
    return list(chain.from_iterable(lists))


def _regrouped(lists: Values, completed: Values) -> Values:
    items = iter(completed)
    return [list(islice(items, len(items_before))) for items_before in lists]


def _objects(columns: Mapping[str, Iterable[Any]], count: int) -> list[dict[str, Any]]:
    """The objects whose fields are these columns. Making each of a `zip` takes twice as long."""
    empty = dict.fromkeys(columns)
    objects = [empty.copy() for _ in range(count)]
    for name, values in columns.items():
        for result_object, value in zip(objects, values, strict=True):
            result_object[name] = value
    return objects
