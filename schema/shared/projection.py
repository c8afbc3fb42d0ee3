"""Which columns of a list's rows an operation asks for: where that is all it asks, nothing else is read."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionSetNode,
)
from strawberry.types.base import get_object_definition
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from domain.pages import PageResult
from schema.execution import REQUIRED_ATTRIBUTES, PartialRows
from schema.shared.context import Info
from schema.shared.nodes import OF

Fragments = Mapping[str, FragmentDefinitionNode]


@cache
def attributes(noun: str) -> Mapping[str, frozenset[str]]:
    """The attributes that a noun's fields need, by their GraphQL names; without those that may need any."""
    definition = get_object_definition(OF[noun].__self__, strict=True)  # type: ignore[attr-defined]
    fields = definition.fields if definition else []  # there always is one
    needs = {it: _needs(it) for it in fields}
    return {
        it.graphql_name or to_camel_case(it.python_name): of for it, of in needs.items() if of is not None
    }


def _needs(field: StrawberryField) -> frozenset[str] | None:
    return frozenset({field.python_name}) if field.is_basic_field else field.metadata.get(REQUIRED_ATTRIBUTES)


def asked(info: Info, noun: str) -> frozenset[str] | None:
    """The attributes that a connection's rows are asked for; None where a row is asked for more than those.

    A field of a fragment counts whether or not it applies, and so does one that is skipped: to read it is harmless.
    """
    raw, known = info._raw_info, info.context.operation.plans  # noqa: SLF001 - strawberry's own selections are far slower
    # By all of its nodes: a field of a fragment is merged with others in one place, and not in the other.
    key = (asked, noun, *map(id, raw.field_nodes))
    if key not in known:  # every parent's list of an operation is asked for the same
        known[key] = _asked(raw, attributes(noun))
    found: frozenset[str] | None = known[key]
    return found


def shown(noun: str, found: PageResult[Any]) -> Any:
    """Rows as the API shows them: of a part only that part, whose other fields nobody asked for."""
    of = OF[noun]
    return list(map(of, found.rows)) if found.part is None else PartialRows(of.__self__, found.part)  # type: ignore[attr-defined]


def _asked(info: Any, needs: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    list_completion = list(fields_in([it.selection_set for it in info.field_nodes], info.fragments, set()))
    edges = [it.selection_set for it in list_completion if it.name.value == "edges"]
    rows = [it.selection_set for it in list_completion if it.name.value == "nodes"]
    rows += [it.selection_set for it in fields_in(edges, info.fragments, set()) if it.name.value == "node"]
    names = {it.name.value for it in fields_in(rows, info.fragments, set())} - {"__typename"}
    return frozenset().union(*(needs[it] for it in names)) if names <= needs.keys() else None


def fields_in(
    selections: list[SelectionSetNode | None], fragments: Fragments, seen: set[str]
) -> Iterator[FieldNode]:
    """The fields of selections, and those of the fragments in them, each fragment once."""
    for it in (node for each in selections if each for node in each.selections):
        if isinstance(it, FieldNode):
            yield it
        elif isinstance(it, InlineFragmentNode):
            yield from fields_in([it.selection_set], fragments, seen)
        elif isinstance(it, FragmentSpreadNode) and it.name.value not in seen:
            seen.add(it.name.value)
            yield from fields_in([fragments[it.name.value].selection_set], fragments, seen)
