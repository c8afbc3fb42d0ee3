"""The schema as a source of tests: its types, its arguments of ids, and documents that select everything."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_named_type,
)

from schema.root import schema

SCHEMA = schema._schema
NODE = SCHEMA.type_map["Node"]
assert isinstance(NODE, GraphQLInterfaceType)
NODES = {kind.name: kind for kind in SCHEMA.get_possible_types(NODE)}
"""The types of all objects that have an id."""

assert SCHEMA.query_type
assert SCHEMA.mutation_type
assert SCHEMA.subscription_type
QUERIES = SCHEMA.query_type.fields
MUTATIONS = SCHEMA.mutation_type.fields
SUBSCRIPTIONS = SCHEMA.subscription_type.fields
BY_ID = {name: field for name, field in QUERIES.items() if str(field.type) in NODES and "id" in field.args}
LISTS = {name: field for name, field in QUERIES.items() if str(field.type).endswith("Connection!")}

PAGING = {"first", "last", "after", "before"}


def id_places() -> set[str]:
    """Every place of the schema that takes an id: `Mutation.deleteProject.input.id`."""
    types = [kind for kind in SCHEMA.type_map.values() if isinstance(kind, GraphQLObjectType)]
    return {
        f"{kind.name}.{name}.{place}"
        for kind in types
        for name, field in kind.fields.items()
        for place in _taken(field.args)
    }


def _taken(given: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField]) -> Iterator[str]:
    for name, argument in given.items():
        kind = get_named_type(argument.type)
        if kind.name == "ID":
            yield name
        elif isinstance(kind, GraphQLInputObjectType):
            yield from (f"{name}.{inner}" for inner in _taken(kind.fields))


def mutation(name: str) -> str:
    """The document of a mutation that asks for every object of its payload."""
    field = MUTATIONS[name]
    payload: Any = get_named_type(field.type)
    objects = " ".join(
        f"{name_of_field} {{ id }}"
        for name_of_field, made in payload.fields.items()
        if str(made.type) in NODES
    )
    selection = f"{objects} userErrors {{ code message field reason context }}"
    return f"mutation($input: {field.args['input'].type}) {{ {name}(input: $input) {{ {selection} }} }}"


def takes(name: str, field: str) -> bool:
    """Whether a mutation's input has this field."""
    kind: Any = get_named_type(MUTATIONS[name].args["input"].type)
    return field in kind.fields


def selected(field: GraphQLField) -> str:
    """The selection set of a field: the id of a node, and every field of other objects."""
    kind: Any = get_named_type(field.type)
    if not hasattr(kind, "fields"):
        return ""
    if kind is NODE or NODE in kind.interfaces:
        return "{ id }"
    if "pageInfo" in kind.fields:
        return f"{{ nodes {selected(kind.fields['nodes'])} totalCount }}"
    return f"{{ {everything(kind.fields)} }}"


def everything(fields: Mapping[str, GraphQLField]) -> str:
    """Every field."""
    return " ".join(f"{name} {selected(field)}" for name, field in fields.items())


AT_ONCE = 10
"""The fields that one operation selects: its cost and its aliases are limited."""


def all_of(fields: Mapping[str, GraphQLField]) -> list[str]:
    """Every field, as selections that are small enough for one operation each."""
    return _parted([f"{name} {selected(field)}" for name, field in fields.items()])


def filtered(fields: Mapping[str, GraphQLField], id: str) -> list[str]:
    """Every field, and once more for each value of each of its arguments, of which ids are `id`."""
    again = [
        f"{name}{number}: {name}({given}) {selected(field)}"
        for name, field in fields.items()
        for number, given in enumerate(_given(field, id))
    ]
    return all_of(fields) + _parted(again)


def _parted(selections: list[str]) -> list[str]:
    return [" ".join(selections[start : start + AT_ONCE]) for start in range(0, len(selections), AT_ONCE)]


def _given(field: GraphQLField, id: str) -> Iterator[str]:
    for name, argument in field.args.items():
        if name not in PAGING:
            yield from (f"{name}: {value}" for value in _values(argument.type, id))


def _values(type: Any, id: str) -> list[str]:
    """Values that an argument may have; of an input, one field at a time. An unknown type is a KeyError."""
    kind = get_named_type(type)
    if isinstance(kind, GraphQLEnumType):
        return list(kind.values)
    if isinstance(kind, GraphQLInputObjectType):
        return [
            f"{{{name}: {value}}}" for name, field in kind.fields.items() for value in _values(field.type, id)
        ]
    return {
        "ID": [f'"{id}"'],
        "String": ['"a"'],
        "Boolean": ["true", "false"],
        "Int": ["5"],
        "Float": ["0.5"],
        "DateTime": ['"2000-01-01T00:00:00Z"'],
    }[kind.name]


def ids_in(value: Any) -> set[str]:
    """The ids of all objects in a response."""
    if isinstance(value, list):
        return set().union(*map(ids_in, value))
    if isinstance(value, dict):
        own = {value["id"]} if isinstance(value.get("id"), str) else set()
        return own.union(*map(ids_in, value.values()))
    return set()
