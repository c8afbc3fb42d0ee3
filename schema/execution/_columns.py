"""Whole columns of values on their way into an answer: one field of many objects at once.

What is asked of each object of a list is the same, so it is thought out once; and where a resolver wants something
from a loader, all objects want it with one call, without a task, a future and a place in the answer for each.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from strawberry.types.cast import TYPE_CAST_ATTRIBUTE

from domain.pages import records
from schema.execution._bound_resolver import Call
from schema.execution._dataloader import Wanted, settled
from schema.execution._eager import together
from schema.execution._leaves import Unusual, Values, all_of
from schema.execution._partial_rows import Joined, Parts

LISTS: frozenset[type] = frozenset({list, tuple})
PARTS: frozenset[type] = frozenset({Parts})
Sources = Values | Joined
"""The objects that have a field."""
Ask = Callable[[Call], Callable[[Any], Any]]
"""How an operation calls a resolver: it gives what has an object for its argument."""
FinishLater = Callable[[Any, Ask], Coroutine[Any, Any, Values]]


@dataclass(frozen=True, slots=True)
class Column:
    """What is done with a field's values, or is `later`, where resolvers are asked. Both raise where one is unusual.

    It knows nothing of who asks, so that it serves every operation of the same document.
    """

    finish: Callable[[Any], Values] | None
    later: FinishLater | None = None

    def done(self, values: Any, ask: Ask) -> Any:
        """The values as they are sent, or what has to be awaited for them."""
        return self.finish(values) if self.finish else self.later(values, ask)  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object: an attribute, or what a resolver is called for."""

    column: Column
    read: Callable[[Sources], Values] | None
    call: Call | None = None

    def finished(self, sources: Sources) -> Values:
        """What is sent of each object, of an attribute without resolvers below it."""
        assert self.read is not None
        assert self.column.finish is not None
        return self.column.finish(self.read(sources))

    @property
    def is_later(self) -> bool:
        """Whether resolvers are asked."""
        return self.read is None or self.column.finish is None

    async def answered(self, sources: Sources, ask: Ask) -> Values:
        """What is sent of each object."""
        if self.read is not None:
            values = self.read(sources)
        else:
            values = await self._called(sources, ask)
        done = self.column.done(values, ask)
        return done if self.column.finish else await done

    async def _called(self, sources: Sources, ask: Ask) -> Values:
        """What the resolver has for each object.

        Where it looks at nothing but the object's id, and wants what there is for that, what it says of one holds for all.
        """
        assert self.call is not None
        call = ask(self.call)
        if self.call.is_by_id and len(sources) > 1:
            first = next(iter(sources))
            wanted = call(first)
            if isinstance(wanted, Wanted) and wanted.key == first.id:
                return await wanted.of_all(IDS(sources))
        return await settled(list(map(call, sources)))


def _around(
    inner: Column, open: Callable[[Values], Sources], close: Callable[[Values, Values], Values]
) -> Column:
    """A column of what holds the values of another one."""
    finish, later = inner.finish, inner.later

    async def finished_later(values: Values, ask: Ask) -> Values:
        assert later is not None
        return close(values, await later(open(values), ask))

    if finish is None:
        return Column(None, finished_later)
    return Column(lambda values: close(values, finish(open(values))))


def nullable(inner: Column) -> Column:
    """The same where there may be nothing."""
    return _around(inner, _present, _with_nulls)


def _present(values: Values) -> Values:
    return [it for it in values if it is not None] if type(None) in map(type, values) else values


def _with_nulls(values: Values, done: Values) -> Values:
    if len(done) == len(values):
        return done
    each = iter(done)
    return [None if it is None else next(each) for it in values]


def listed(item: Column) -> Column:
    """The same of lists."""
    return _around(item, _flat, _regrouped)


def _flat(lists: Values) -> Values | Joined:
    if PARTS.issuperset(map(type, lists)):
        return Joined(lists) if lists else []
    all_of(LISTS, lists)
    return list(chain.from_iterable(lists))


def _regrouped(lists: Values, done: Values) -> Values:
    each = iter(done)
    return [list(islice(each, len(it))) for it in lists]


def objects(check: Callable[[Sources], None], fields: Mapping[str, Field]) -> Column:
    """Objects, of which `check` says whether they are what they should be."""
    now = {name: it for name, it in fields.items() if not it.is_later}
    later = {name: it for name, it in fields.items() if it.is_later}

    def finish(sources: Sources) -> Values:
        check(sources)
        return records({name: it.finished(sources) for name, it in now.items()}, len(sources))

    async def finish_later(sources: Sources, ask: Ask) -> Values:
        check(sources)
        found = {name: it.finished(sources) for name, it in now.items()}
        answers = await together([it.answered(sources, ask) for it in later.values()])
        found |= zip(later, answers, strict=True)
        return records({name: found[name] for name in fields}, len(sources))

    return Column(None, finish_later) if later else Column(finish)


def attribute(name: str) -> Callable[[Sources], Values]:
    """Reads an attribute of objects."""
    get = attrgetter(name)

    def read(sources: Sources) -> Values:
        return sources.column(name) if isinstance(sources, Joined) else list(map(get, sources))

    return read


def instances(classes: frozenset[type]) -> Callable[[Sources], None]:
    """Raises `Unusual` unless all objects are instances of these classes, and not meant to be others."""

    def check(sources: Sources) -> None:
        if isinstance(sources, Joined):
            if sources.cls not in classes:
                raise Unusual
            return
        all_of(classes, sources)
        if any(hasattr(it, TYPE_CAST_ATTRIBUTE) for it in sources):
            raise Unusual

    return check


IDS = attribute("id")
