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
from strawberry.utils.str_converters import to_camel_case

from domain.pages import Part
from schema.base import OF, Info

Fragments = Mapping[str, FragmentDefinitionNode]


@cache
def attributes(noun: str) -> Mapping[str, str]:
    """The fields of a noun that have no resolver: their GraphQL name, and the attribute that they are."""
    definition = get_object_definition(OF[noun].__self__, strict=True)  # type: ignore[attr-defined]
    fields = definition.fields if definition else []  # there always is one
    return {
        it.graphql_name or to_camel_case(it.python_name): it.python_name for it in fields if it.is_basic_field
    }


def asked(info: Info, noun: str) -> frozenset[str] | None:
    """The attributes that a connection's rows are asked for; None where a row is asked for more than those.

    A field of a fragment counts whether or not it applies, and so does one that is skipped: to read it is harmless.
    """
    raw, known = info._raw_info, info.context.asked  # noqa: SLF001 - strawberry's own selections are far slower
    # By all of its nodes: a field of a fragment is merged with others in one place, and not in the other.
    key = tuple(map(id, raw.field_nodes))
    if key not in known:  # every parent's list of an operation is asked for the same
        known[key] = _asked(raw, attributes(noun))
    found: frozenset[str] | None = known[key]
    return found


def shown(noun: str, row: Any) -> Any:
    """A row as the API shows it: of a part only that part, whose other fields nobody asked for."""
    of = OF[noun]
    if not isinstance(row, Part):
        return of(row)
    made = object.__new__(of.__self__)  # type: ignore[attr-defined]
    vars(made).update(row)
    return made


def _asked(info: Any, plain: Mapping[str, str]) -> frozenset[str] | None:
    listed = list(fields_in([it.selection_set for it in info.field_nodes], info.fragments, set()))
    edges = [it.selection_set for it in listed if it.name.value == "edges"]
    rows = [it.selection_set for it in listed if it.name.value == "nodes"]
    rows += [it.selection_set for it in fields_in(edges, info.fragments, set()) if it.name.value == "node"]
    names = {it.name.value for it in fields_in(rows, info.fragments, set())} - {"__typename"}
    return frozenset(plain[it] for it in names) if names <= plain.keys() else None


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
