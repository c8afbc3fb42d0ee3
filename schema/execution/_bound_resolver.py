"""How a field's resolver is called: as strawberry does it, but with what is the same for all objects found once."""

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
"""The metadata of a field whose resolver defers to a DataLoader by its object's id, and reads nothing else of it.

Nothing else of the object must be read for it, and calling it for one object of a list tells how it is for all.
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
        """A function that takes an object and gives the resolver's value for it."""
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
    """How a resolver is called; None where strawberry does more than call it, or it takes the parent by name."""
    resolver = definition.base_resolver
    if not resolver or definition.is_subscription or definition.extensions:
        return None
    if resolver.parent_parameter or resolver.root_parameter:
        return None
    info = resolver.info_parameter.name if resolver.info_parameter else None
    resolve: Any = resolver.wrapped_func
    takes_self = bool(resolver.self_parameter)
    return BoundResolver(parent, field, nodes, definition, resolve, arguments, takes_self, info)
