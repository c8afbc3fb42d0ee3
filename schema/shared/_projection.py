"""Projection: the attributes that an operation selects of a connection's rows, so that other columns are not read."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLResolveInfo,
    InlineFragmentNode,
    SelectionSetNode,
)
from strawberry.types.base import get_object_definition
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from domain.ids import Noun
from domain.pages import PageResult
from schema.execution import REQUIRED_ATTRIBUTES, PartialRows
from schema.shared.context import Info
from schema.shared.nodes import NODE_TYPES

Fragments = Mapping[str, FragmentDefinitionNode]


@cache
def attributes_by_field(noun: Noun) -> Mapping[str, frozenset[str]]:
    """The attributes that each GraphQL field of a noun requires; fields that may require any attribute are absent."""
    definition = get_object_definition(NODE_TYPES[noun], strict=True)
    by_field = {
        field.graphql_name or to_camel_case(field.python_name): _attributes_of(field)
        for field in definition.fields
    }
    return {name: attributes for name, attributes in by_field.items() if attributes is not None}


def _attributes_of(field: StrawberryField) -> frozenset[str] | None:
    return frozenset({field.python_name}) if field.is_basic_field else field.metadata.get(REQUIRED_ATTRIBUTES)


def required_attributes(info: Info, noun: Noun) -> frozenset[str] | None:
    """The attributes that are required of a connection's rows; None where any may be.

    Fields of fragments count whether or not the fragment's type condition holds, and so do skipped fields: reading them
    does no harm.
    """
    raw, plans = info._raw_info, info.context.operation.plans  # noqa: SLF001 - its own selections are far slower
    # The key has all nodes of the field: a fragment's field may be merged with others in one place, and not in another.
    key = (required_attributes, noun, *map(id, raw.field_nodes))
    if key not in plans:  # the connection is resolved once for each parent
        plans[key] = _attributes_of_rows(raw, attributes_by_field(noun))
    attributes: frozenset[str] | None = plans[key]
    return attributes


def graphql_objects(noun: Noun, page: PageResult[Any]) -> Any:
    """The rows of a page as GraphQL objects; where only some columns were read, objects with those attributes alone."""
    cls = NODE_TYPES[noun]
    if page.partial_rows is None:
        return list(map(cls.from_domain, page.rows))
    return PartialRows(cls, page.partial_rows)


def _attributes_of_rows(
    info: GraphQLResolveInfo[Any], by_field: Mapping[str, frozenset[str]]
) -> frozenset[str] | None:
    fragments = info.fragments
    of_connection = list(selected_fields([node.selection_set for node in info.field_nodes], fragments, set()))
    edges = [field.selection_set for field in of_connection if field.name.value == "edges"]
    rows = [field.selection_set for field in of_connection if field.name.value == "nodes"]
    rows += [
        field.selection_set
        for field in selected_fields(edges, fragments, set())
        if field.name.value == "node"
    ]
    names = {field.name.value for field in selected_fields(rows, fragments, set())} - {"__typename"}
    return frozenset().union(*(by_field[name] for name in names)) if names <= by_field.keys() else None


def selected_fields(
    selection_sets: list[SelectionSetNode | None], fragments: Fragments, visited: set[str]
) -> Iterator[FieldNode]:
    """The fields of selection sets and of the fragments in them; a fragment whose name is in `visited` is skipped."""
    nodes = (node for selection_set in selection_sets if selection_set for node in selection_set.selections)
    for node in nodes:
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            yield from selected_fields([node.selection_set], fragments, visited)
        elif isinstance(node, FragmentSpreadNode) and node.name.value not in visited:
            visited.add(node.name.value)
            yield from selected_fields([fragments[node.name.value].selection_set], fragments, visited)
