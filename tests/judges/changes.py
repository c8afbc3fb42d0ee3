"""Breaking changes of the schema since the last release."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from graphql import (
    REMOVE,
    SKIP,
    ConstDirectiveNode,
    DocumentNode,
    GraphQLNamedType,
    GraphQLSchema,
    StringValueNode,
    TypeDefinitionNode,
    Visitor,
    VisitorAction,
    build_ast_schema,
    get_named_type,
    is_abstract_type,
    parse,
    visit,
)
from graphql.utilities import DangerousChangeType, find_breaking_changes, find_dangerous_changes

from tests.judges.sdl import lapse

SILENT = {DangerousChangeType.ARG_DEFAULT_VALUE_CHANGE, DangerousChangeType.INPUT_FIELD_DEFAULT_VALUE_CHANGE}
"""Changes that break no request and yet change its meaning."""


def breaking_changes(released: str, current: GraphQLSchema, today: date) -> list[str]:
    """The breaking changes since a released SDL, but for removals that were announced for today or before."""
    before = without_lapsed(parse(released), today)
    breaking = [change.description for change in find_breaking_changes(before, current)]
    return breaking + [
        change.description for change in find_dangerous_changes(before, current) if change.type in SILENT
    ]


def without_lapsed(released: DocumentNode, today: date) -> GraphQLSchema:
    """The released schema without members that may be removed by now, and without types that only those use."""
    kept: DocumentNode = visit(released, _Lapsed(today))
    gone = _reachable_types(_built(released)) - _reachable_types(_built(kept))
    return _built(visit(kept, _Types(gone)))


def _built(document: DocumentNode) -> GraphQLSchema:
    """A schema that is not validated, for a type may have lost all of its members."""
    return build_ast_schema(document, assume_valid=True)


class _Lapsed(Visitor):
    """Removes members whose announced date has come."""

    def __init__(self, today: date) -> None:
        super().__init__()
        self._today = today

    def _leave(self, node: Any, *_: object) -> VisitorAction:
        days = [
            lapse(_reason(directive))
            for directive in node.directives or ()
            if directive.name.value == "deprecated"
        ]
        return REMOVE if any(day and day <= self._today for day in days) else None

    leave_field_definition = leave_input_value_definition = leave_enum_value_definition = _leave


def _reason(directive: ConstDirectiveNode) -> str:
    values = [
        argument.value
        for argument in directive.arguments or ()
        if isinstance(argument.value, StringValueNode)
    ]
    return values[0].value if values else ""


class _Types(Visitor):
    """Removes the types with these names."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self._names = names

    def enter(self, node: Any, *_: object) -> VisitorAction:
        """Visit definitions alone, and nothing inside of them."""
        if isinstance(node, TypeDefinitionNode):
            return REMOVE if node.name.value in self._names else SKIP
        return None


def _reachable_types(schema: GraphQLSchema) -> set[str]:
    """The types that can be reached from the root types; not through `Node`, through which all could."""
    found: set[str] = set()
    remaining: list[Any] = [
        root for root in (schema.query_type, schema.mutation_type, schema.subscription_type) if root
    ]
    while remaining:
        kind = remaining.pop()
        if kind.name not in found:
            found.add(kind.name)
            remaining.extend(_next(schema, kind))
    return found


def _next(schema: GraphQLSchema, kind: Any) -> Iterator[GraphQLNamedType]:
    for field in getattr(kind, "fields", {}).values():
        yield get_named_type(field.type)
        yield from (get_named_type(argument.type) for argument in getattr(field, "args", {}).values())
    if is_abstract_type(kind) and kind.name != "Node":
        yield from schema.get_possible_types(kind)
