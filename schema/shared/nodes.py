"""Nodes: their registry, their conversion from records of the domain, and how they are loaded in batches."""

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, TypeVar

import strawberry
from strawberry.types.base import get_object_definition

from domain.ids import Noun, noun_of
from resolvers import reading
from schema.execution import BatchFunction, Deferred, dataloader_of
from schema.shared.context import Info

T = TypeVar("T")

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
    id: strawberry.ID = strawberry.field(
        description="TypeID of the object: a prefix that names its type, "
        "and a suffix that sorts by creation time."
    )


NODE_TYPES: dict[Noun, type[Any]] = {}
"""The GraphQL type of each noun. Types refer to each other through it: projects have datasets and datasets have a
project, and their modules cannot import each other."""


def node(noun: Noun, record: type, *computed: str) -> Callable[[type[T]], type[T]]:
    """Register the GraphQL type of a noun, whose `from_domain` converts the domain's `record`.

    Raises TypeError where a plain field, other than the `computed` ones, has no attribute of the same name on `record`.
    """

    def register(cls: type[T]) -> type[T]:
        NODE_TYPES[noun] = converted_from(record, *computed)(cls)
        return cls

    return register


def converted_from(record: type, *computed: str) -> Callable[[type[T]], type[T]]:
    """Check that `convert` can make objects of a GraphQL type from objects of the class `record`.

    Raises TypeError where a plain field, other than the `computed` ones, has no attribute of the same name on `record`.
    """

    def check(cls: type[T]) -> type[T]:
        attributes = {*dir(record), *(field.name for field in fields(record))}
        missing = [name for name in _public_names(cls) if name not in attributes and name not in computed]
        if missing:
            raise TypeError(f"{cls.__name__}.{missing[0]} is no attribute of {record.__qualname__}.")
        return cls

    return check


def convert(cls: type[T], record: Any, /, **values: Any) -> T:
    """A GraphQL object whose plain fields are the attributes of the same names of `record`, or else these `values`."""
    kind: Any = cls
    names = _plain_names(kind)
    return kind(**{name: values[name] if name in values else getattr(record, name) for name in names})


@cache
def _plain_names(cls: Any) -> tuple[str, ...]:
    """The fields that a type is constructed with: those without a resolver, and the private ones."""
    return tuple(field.name for field in fields(cls) if field.init)


def _public_names(cls: Any) -> list[str]:
    """The plain fields that are fields of the schema."""
    definition = get_object_definition(cls, strict=True)
    public = {field.python_name for field in definition.fields}
    return [name for name in _plain_names(cls) if name in public]


def load(info: Info, resolve: BatchFunction, key: str, *arguments: Any) -> Any:
    """A `Deferred` of the value that `resolve(context, keys, *arguments)` has for `key`; None where it has none.

    The keys that one step of the operation loads with the same resolver and arguments are read with one call.
    """
    return Deferred(dataloader_of(info.context, resolve, arguments), key)


def load_node(info: Info, id: str | None, noun: Noun) -> Any:
    """A `Deferred` of a noun's object by id; None where there is none, or it is another user's."""
    if id is None:
        return None
    return load(info, reading.many, str(id), noun).then(NODE_TYPES[noun].from_domain)


def load_any_node(info: Info, id: str) -> Any:
    """A `Deferred` of the object that a TypeID names; None where there is none, or it is another user's."""
    noun = noun_of(id)
    return None if noun is None else load(info, reading.by_id, id).then(NODE_TYPES[noun].from_domain)
