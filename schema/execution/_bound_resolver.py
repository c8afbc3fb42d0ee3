"""How a field's resolver is called: as strawberry does it, but with what is the same for all objects found once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

import strawberry
from graphql import FieldNode, GraphQLField, GraphQLObjectType, GraphQLResolveInfo
from strawberry.types.field import StrawberryField

DEFINITION = "strawberry-definition"
NEEDS = "needs"
BY_ID = {NEEDS: frozenset({"id"})}
"""The metadata of a field whose resolver wants what there is for the id of its object, and looks at nothing else of it.

So nothing else of it must be read; and what is found for one object of a list is found in the same way for all.
"""


@dataclass(frozen=True, slots=True)
class Call:
    """A resolver with its arguments, which are the same for every object of a list."""

    parent: GraphQLObjectType
    field: GraphQLField
    nodes: list[FieldNode]
    definition: StrawberryField
    resolve: Callable[..., Any]
    arguments: dict[str, Any]
    takes_self: bool
    info: str | None

    @property
    def is_by_id(self) -> bool:
        """Whether it looks at no more of an object than its id."""
        return self.definition.metadata.get(NEEDS) == BY_ID[NEEDS]

    @property
    def takes_a_task(self) -> bool:
        """Whether it is a coroutine, and not merely something that `settled` knows to find."""
        return iscoroutinefunction(self.resolve)

    def of(self, info: GraphQLResolveInfo[Any]) -> Callable[[Any], Any]:
        """What the resolver has for an object."""
        named = self.arguments
        if self.info:
            named = {**named, self.info: strawberry.Info(_raw_info=info, _field=self.definition)}
        call = partial(self.resolve, **named) if named else self.resolve
        return call if self.takes_self else lambda _: call()


def definition_of(field: GraphQLField | None) -> StrawberryField | None:
    """What strawberry knows of a field."""
    found = (field.extensions or {}).get(DEFINITION) if field else None
    return found if isinstance(found, StrawberryField) else None


def call_of(
    parent: GraphQLObjectType,
    field: GraphQLField,
    definition: StrawberryField,
    nodes: list[FieldNode],
    arguments: dict[str, Any],
) -> Call | None:
    """How a resolver is called; None for what strawberry does around one, or where it wants the parent by name."""
    found = definition.base_resolver
    if not found or definition.is_subscription or definition.extensions:
        return None
    if found.parent_parameter or found.root_parameter:
        return None
    info = found.info_parameter.name if found.info_parameter else None
    resolve: Any = found.wrapped_func
    return Call(parent, field, nodes, definition, resolve, arguments, bool(found.self_parameter), info)
