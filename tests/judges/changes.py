"""What a client of the last release would stumble over, were the schema released as it is."""

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
"""Changes that break nothing and yet change what an old request means."""


def breaks(released: str, current: GraphQLSchema, today: date) -> list[str]:
    """What breaks between a released SDL and the schema, but for what was announced and is due by now."""
    before = still_promised(parse(released), today)
    told = [change.description for change in find_breaking_changes(before, current)]
    return told + [
        change.description for change in find_dangerous_changes(before, current) if change.type in SILENT
    ]


def still_promised(released: DocumentNode, today: date) -> GraphQLSchema:
    """The released schema without the members whose deprecation has lapsed, and without what only they need."""
    kept: DocumentNode = visit(released, _Lapsed(today))
    gone = _reached(_built(released)) - _reached(_built(kept))
    return _built(visit(kept, _Types(gone)))


def _built(document: DocumentNode) -> GraphQLSchema:
    """A schema, though a type may have lost all of its members."""
    return build_ast_schema(document, assume_valid=True)


class _Lapsed(Visitor):
    """Takes away what was to go before today."""

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
    """Takes away the types of these names."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self._names = names

    def enter(self, node: Any, *_: object) -> VisitorAction:
        """Only definitions are of interest, and no node inside of one."""
        if isinstance(node, TypeDefinitionNode):
            return REMOVE if node.name.value in self._names else SKIP
        return None


def _reached(schema: GraphQLSchema) -> set[str]:
    """The types that a client can come to from the root; `Node` leads nowhere, or it would lead everywhere."""
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
