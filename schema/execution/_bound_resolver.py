"""Calls of a field's resolver: as strawberry makes them, but with what is the same for all objects computed once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

import strawberry
from graphql import FieldNode, GraphQLField, GraphQLObjectType, GraphQLResolveInfo
from strawberry.types.field import StrawberryField

DEFINITION = "strawberry-definition"
REQUIRED_ATTRIBUTES = "required_attributes"
"""The metadata of a field with a resolver that names the attributes of its object which the resolver reads."""
ONLY_ID: Mapping[str, frozenset[str]] = {REQUIRED_ATTRIBUTES: frozenset({"id"})}
"""The metadata of a field whose resolver defers to a DataLoader by its object's id, and reads no other attribute.

No other column must be read for it, and one call, for one object of a list, gives the `Deferred` that serves all.
"""


@dataclass(frozen=True, slots=True)
class BoundResolver:
    """A resolver with its arguments, which are the same for every object of a list.

    `info` is the name of the parameter that takes strawberry's Info, None where it takes none.
    """

    parent: GraphQLObjectType
    field: GraphQLField
    nodes: list[FieldNode]
    definition: StrawberryField
    resolve: Callable[..., Any]
    arguments: dict[str, Any]
    takes_self: bool
    info: str | None

    @property
    def needs_only_id(self) -> bool:
        """Whether it reads no more of an object than its id."""
        return self.definition.metadata.get(REQUIRED_ATTRIBUTES) == ONLY_ID[REQUIRED_ATTRIBUTES]

    @property
    def is_coroutine(self) -> bool:
        """Whether calling it gives a coroutine, which takes a task, in place of a value or a `Deferred`."""
        return iscoroutinefunction(self.resolve)

    def bind(self, info: GraphQLResolveInfo[Any]) -> Callable[[Any], Any]:
        """A function that returns the resolver's value for an object."""
        arguments = self.arguments
        if self.info:
            arguments = {**arguments, self.info: strawberry.Info(_raw_info=info, _field=self.definition)}
        call = partial(self.resolve, **arguments) if arguments else self.resolve
        return call if self.takes_self else lambda _: call()


def definition_of(field: GraphQLField | None) -> StrawberryField | None:
    """Strawberry's definition of a field; None where it has none."""
    definition = (field.extensions or {}).get(DEFINITION) if field else None
    return definition if isinstance(definition, StrawberryField) else None


def bound_resolver(
    parent: GraphQLObjectType,
    field: GraphQLField,
    definition: StrawberryField,
    nodes: list[FieldNode],
    arguments: dict[str, Any],
) -> BoundResolver | None:
    """The resolver of a field with its arguments; None where strawberry does more than call it, or passes the parent by name."""
    resolver = definition.base_resolver
    if not resolver or definition.is_subscription or definition.extensions:
        return None
    if resolver.parent_parameter or resolver.root_parameter:
        return None
    info = resolver.info_parameter.name if resolver.info_parameter else None
    resolve: Any = resolver.wrapped_func
    takes_self = bool(resolver.self_parameter)
    return BoundResolver(parent, field, nodes, definition, resolve, arguments, takes_self, info)
