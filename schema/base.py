"""What every type of the schema is made of: identity, copying from the domain, loading in batches."""

from collections.abc import Callable
from dataclasses import fields
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypeVar

import strawberry

from resolvers import reading
from resolvers.context import Context
from schema.loading import BatchResolver, Wanted, loader_of

Info = strawberry.Info[Context, None]
S = TypeVar("S")

Id = Annotated[
    strawberry.ID,
    strawberry.argument(description="Its TypeID; one that is unknown, or another's, gives null."),
]


@strawberry.interface(
    description="An object with an identity. The id is a TypeID (finetune_01j…) and is the same in GraphQL, "
    "REST paths, logs and file names."
)
class Node:
    """An object with an identity."""

    id: strawberry.ID = strawberry.field(description="The object's TypeID.")


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


def load(info: Info, resolve: BatchResolver, key: str, *arguments: Any) -> Any:
    """`Wanted` of what `resolve(context, keys, *arguments)` has for `key`, None when it has nothing.

    All calls with the same resolver and arguments that one step of the operation makes become one call.
    """
    return Wanted(loader_of(info.context, resolve, arguments), key)


def lookup(info: Info, id: str | None, name: str) -> Any:
    """The GraphQL object of a noun with this id, None when there is none, or it is another's."""
    return None if id is None else load(info, reading.many, str(id), name).then(OF[name])


def enumeration(kind: type[StrEnum], description: str, **values: str) -> None:
    """Register an enum of the domain, and what each of its values means."""
    strawberry.enum(kind, description=description)
    for value in kind.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = values.get(value.name)


def optional(description: str) -> Any:
    """An input field that may be absent, which `given` and `or_none` tell from null."""
    return strawberry.field(default=strawberry.UNSET, description=description)


def given(input: Any, *without: str) -> dict[str, Any]:
    """The fields of an input that the caller gave, by their Python names."""
    names = (it.name for it in fields(input))
    values = ((name, getattr(input, name)) for name in names if name not in without)
    return {name: value for name, value in values if value is not strawberry.UNSET}


def or_none(value: Any) -> Any:
    """An optional input's value, None when it is absent."""
    return None if value is strawberry.UNSET else value
