"""What every noun's type is made of: identity, copying from the domain, loading in batches."""

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, TypeVar

import strawberry

from domain.ids import noun_of
from resolvers import reading
from schema.execution import BatchFunction, Deferred, dataloader_of
from schema.shared.context import Info

S = TypeVar("S")


Id = Annotated[
    strawberry.ID,
    strawberry.argument(
        description="TypeID of the object; the result is null when it is unknown or belongs to another user."
    ),
]


@strawberry.interface(
    description="An object with a globally unique id: a TypeID such as `finetune_01j…`, "
    "the same in GraphQL, REST paths, logs and file names."
)
class Node:
    """Relay's `Node`."""

    id: strawberry.ID = strawberry.field(
        description="TypeID of the object: a prefix that names its type, "
        "and a suffix that sorts by creation time."
    )


@cache
def _names(cls: Any) -> tuple[str, ...]:
    return tuple(it.name for it in fields(cls) if it.init)


def mirror(cls: type[S], it: Any, /, **given: Any) -> S:
    """A GraphQL object whose plain fields are the domain object's attributes of the same names."""
    return cls(**{name: given[name] if name in given else getattr(it, name) for name in _names(cls)})  # type: ignore[arg-type]


OF: dict[str, Callable[[Any], Any]] = {}
"""How a domain object of each noun becomes a GraphQL object. Types refer to each other through it: projects
have datasets and datasets have a project, and modules cannot import each other."""


def noun(cls: type[S]) -> type[S]:
    """Register a type under its name."""
    OF[cls.__name__] = cls.of  # type: ignore[attr-defined]
    return cls


def load(info: Info, resolve: BatchFunction, key: str, *arguments: Any) -> Any:
    """`Deferred` of what `resolve(context, keys, *arguments)` has for `key`, None when it has nothing.

    All calls with the same resolver and arguments that one step of the operation makes become one call.
    """
    return Deferred(dataloader_of(info.context, resolve, arguments), key)


def lookup(info: Info, id: str | None, name: str) -> Any:
    """The GraphQL object of a noun with this id, None when there is none, or it is another's."""
    return None if id is None else load(info, reading.many, str(id), name).then(OF[name])


def node_by_id(info: Info, id: str) -> Any:
    """Any object by id, null when there is none, or it is another's."""
    name = noun_of(id)
    return None if name is None else load(info, reading.by_id, id).then(OF[name])
