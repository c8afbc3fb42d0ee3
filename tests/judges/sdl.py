"""The conventions of the schema: each rule yields a sentence for whatever in a schema breaks it."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_composite_type,
    is_introspection_type,
    is_specified_scalar_type,
)

PASCAL = re.compile(r"[A-Z][A-Za-z0-9]*")
CAMEL = re.compile(r"[a-z][A-Za-z0-9]*")
UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
IDS = re.compile(r"ids?|.*Ids?")
LAPSE = re.compile(r"use .+; removal not before (\d{4}-\d{2}-\d{2})")

NOT_OURS = {"modelId"}
"""Fields that are named like ids but are names of models elsewhere."""

IDS_OF_MODELS = frozenset({"ChatMessage", "ToolCall"})
"""Types whose ids a model gave its tool calls: texts, unique within a conversation alone."""

SHORT_LISTS = {
    "Conversation.messages": "the messages of one item, which is one text",
    "ChatMessage.toolCalls": "the tool calls of one message",
    "Query.nodes": "no longer than the ids that are given, which are at most 100",
    "Dataset.promptHistory": "takes `first`, at most 100",
    "Document.encodingReadings": "two or three",
    "DatasetItem.problems": "one for each field and each kind of problem at most",
    "DatasetStats.bySplit": "one for each split",
    "DatasetStats.problems": "one for each kind of problem",
    "Finetune.artifacts": "the files of one run, of which a worker may report 1,000",
    "Finetune.inferenceSamples": "the answers of one run, of which a worker may report 1,000",
}
"""The lists of objects that are no connections, and why they are short."""


def named_types(schema: GraphQLSchema) -> Iterator[GraphQLNamedType]:
    """The types of the schema, without those of GraphQL itself."""
    for kind in schema.type_map.values():
        if not is_introspection_type(kind) and not is_specified_scalar_type(kind):
            yield kind


def output_fields(schema: GraphQLSchema) -> Iterator[tuple[str, str, Any]]:
    """Every output field: the name of its type, its own name, and the field."""
    for kind in named_types(schema):
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            yield from ((kind.name, name, field) for name, field in kind.fields.items())


def members(schema: GraphQLSchema) -> Iterator[tuple[str, str, Any]]:
    """Fields, arguments and input fields, each with its coordinate, name and definition."""
    for owner, name, field in output_fields(schema):
        yield f"{owner}.{name}", name, field
        yield from (
            (f"{owner}.{name}({argument_name})", argument_name, argument)
            for argument_name, argument in field.args.items()
        )
    for kind in named_types(schema):
        if isinstance(kind, GraphQLInputObjectType):
            yield from ((f"{kind.name}.{name}", name, field) for name, field in kind.fields.items())


def values(schema: GraphQLSchema) -> Iterator[tuple[str, str, Any]]:
    """The values of all enums, each with its coordinate, name and definition."""
    for kind in named_types(schema):
        if isinstance(kind, GraphQLEnumType):
            yield from ((f"{kind.name}.{name}", name, value) for name, value in kind.values.items())


def mutations(schema: GraphQLSchema) -> Iterator[tuple[str, Any]]:
    """The mutations by name."""
    if schema.mutation_type:
        yield from schema.mutation_type.fields.items()


def shape(kind: Any) -> dict[str, str]:
    """The fields of a type as they are written."""
    return {name: str(field.type) for name, field in getattr(kind, "fields", {}).items()}


def names_have_their_case(schema: GraphQLSchema) -> Iterator[str]:
    """PascalCase for types, camelCase for what is in them, UPPER_SNAKE for the values of enums."""
    for kind in named_types(schema):
        if not PASCAL.fullmatch(kind.name):
            yield f"{kind.name} is not PascalCase"
    for place, name, _ in members(schema):
        if not CAMEL.fullmatch(name):
            yield f"{place} is not camelCase"
    for place, name, _ in values(schema):
        if not UPPER_SNAKE.fullmatch(name):
            yield f"{place} is not UPPER_SNAKE"


def input_names_end_in_input_or_filter(schema: GraphQLSchema) -> Iterator[str]:
    """The name of an input object ends in Input for a mutation, in Filter for a list."""
    for kind in named_types(schema):
        if isinstance(kind, GraphQLInputObjectType) and not kind.name.endswith(("Input", "Filter")):
            yield f"{kind.name} is an input, but its name does not end in Input or Filter"


def mutations_take_one_input(schema: GraphQLSchema) -> Iterator[str]:
    """A mutation has one argument, `input`, which is required."""
    for name, field in mutations(schema):
        if list(field.args) != ["input"] or not isinstance(field.args["input"].type, GraphQLNonNull):
            yield f"Mutation.{name} does not take one required `input`"


def mutations_return_payloads(schema: GraphQLSchema) -> Iterator[str]:
    """A mutation returns a payload that is not null; of its fields, `userErrors` alone is not nullable."""
    for name, field in mutations(schema):
        kind = get_named_type(field.type)
        if not str(field.type).endswith("Payload!"):
            yield f"Mutation.{name} gives {field.type}, which is not a required payload"
        if shape(kind).get("userErrors") != "[UserError!]!":
            yield f"{kind.name} has no `userErrors: [UserError!]!`"
        for inner, written in shape(kind).items():
            if inner != "userErrors" and written.endswith("!"):
                yield f"{kind.name}.{inner} cannot be null where the mutation is refused"


def nodes_follow_relay(schema: GraphQLSchema) -> Iterator[str]:
    """`Node` has an id and nothing else; the queries `node` and `nodes` have Relay's types."""
    node = schema.type_map.get("Node")
    if not isinstance(node, GraphQLInterfaceType) or shape(node) != {"id": "ID!"}:
        yield "Node is not `interface Node { id: ID! }`"
    found = {f"{owner}.{name}": field for owner, name, field in output_fields(schema)}
    for place, takes, gives in (("Query.node", "id: ID!", "Node"), ("Query.nodes", "ids: [ID!]!", "[Node]!")):
        field = found.get(place)
        arguments = (
            ", ".join(f"{name}: {argument.type}" for name, argument in field.args.items()) if field else ""
        )
        if field is None or (arguments, str(field.type)) != (takes, gives):
            yield f"{place} is not `({takes}): {gives}`"


def types_with_an_id_implement_node(schema: GraphQLSchema) -> Iterator[str]:
    """A type with an `id` implements Node, for Relay caches objects by their `id`."""
    for kind in named_types(schema):
        parents = {parent.name for parent in getattr(kind, "interfaces", ())}
        if not isinstance(kind, GraphQLObjectType) or kind.name in IDS_OF_MODELS:
            continue
        if "id" in kind.fields and "Node" not in parents:
            yield f"{kind.name} has an `id`, but is no Node"


def ids_are_of_type_id(schema: GraphQLSchema) -> Iterator[str]:
    """Fields, arguments and input fields that are named like ids have the type ID."""
    for place, name, member in members(schema):
        is_ours = name not in NOT_OURS and place.split(".")[0] not in IDS_OF_MODELS
        if IDS.fullmatch(name) and is_ours and get_named_type(member.type).name != "ID":
            yield f"{place} is called an id, but is {member.type}"


def connections_follow_relay(schema: GraphQLSchema) -> Iterator[str]:
    """Connections, edges and PageInfo have Relay's fields, `nodes` and `totalCount`, and no others."""
    for kind in named_types(schema):
        if kind.name.endswith("Connection"):
            noun = kind.name.removesuffix("Connection")
            edges = {"edges": f"[{noun}Edge!]!", "nodes": f"[{noun}!]!"}
            if shape(kind) != edges | {"pageInfo": "PageInfo!", "totalCount": "Int!"}:
                yield f"{kind.name} is not Relay's"
            if shape(schema.type_map.get(f"{noun}Edge")) != {"cursor": "String!", "node": f"{noun}!"}:
                yield f"{noun}Edge is not Relay's"
    more, cursors = ("hasNextPage", "hasPreviousPage"), ("startCursor", "endCursor")
    expected = dict.fromkeys(more, "Boolean!") | dict.fromkeys(cursors, "String")
    if shape(schema.type_map.get("PageInfo")) != expected:
        yield "PageInfo is not Relay's"


def connections_page_in_both_directions(schema: GraphQLSchema) -> Iterator[str]:
    """A field with a connection has the optional arguments `first`, `after`, `last` and `before`."""
    expected = {"first": "Int", "after": "String", "last": "Int", "before": "String"}
    for owner, name, field in output_fields(schema):
        if get_named_type(field.type).name.endswith("Connection"):
            arguments = {argument_name: str(argument.type) for argument_name, argument in field.args.items()}
            if not expected.items() <= arguments.items():
                yield f"{owner}.{name} does not take first, after, last and before"


def long_lists_have_pages(schema: GraphQLSchema) -> Iterator[str]:
    """Lists of objects are connections, but for lists that are known to be short."""
    for owner, name, field in output_fields(schema):
        in_page = owner.endswith("Connection") and name in {"edges", "nodes"}
        in_payload = owner.endswith("Payload") and name == "userErrors"
        is_listed = f"{owner}.{name}" in SHORT_LISTS or in_page or in_payload
        if "[" in str(field.type) and is_composite_type(get_named_type(field.type)) and not is_listed:
            yield f"{owner}.{name} is a list of objects without pages"


def lists_have_no_null_members(schema: GraphQLSchema) -> Iterator[str]:
    """No list has null members, but for `nodes`, which has null where an id is unknown."""
    for place, _, member in members(schema):
        if place != "Query.nodes" and _has_holes(member.type):
            yield f"{place} is a list that may have holes"


def _has_holes(kind: Any) -> bool:
    if isinstance(kind, GraphQLNonNull):
        return _has_holes(kind.of_type)
    return isinstance(kind, GraphQLList) and (
        not isinstance(kind.of_type, GraphQLNonNull) or _has_holes(kind.of_type)
    )


def deprecations_name_replacement_and_date(schema: GraphQLSchema) -> Iterator[str]:
    """A deprecation names the replacement and the date before which nothing is removed."""
    for place, _, member in (*members(schema), *values(schema)):
        reason = member.deprecation_reason
        if reason is not None and lapse(reason) is None:
            yield f"{place} is deprecated, but not with `use …; removal not before YYYY-MM-DD`"


def lapse(reason: str) -> date | None:
    """The day from which on a deprecated member may go; None where the reason names none."""
    found = LAPSE.fullmatch(reason)
    with suppress(ValueError):
        return date.fromisoformat(found[1]) if found else None
    return None


RULES = (
    names_have_their_case,
    input_names_end_in_input_or_filter,
    mutations_take_one_input,
    mutations_return_payloads,
    nodes_follow_relay,
    types_with_an_id_implement_node,
    ids_are_of_type_id,
    connections_follow_relay,
    connections_page_in_both_directions,
    long_lists_have_pages,
    lists_have_no_null_members,
    deprecations_name_replacement_and_date,
)
