"""The schema as a whole."""

from collections.abc import Iterator
from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
)

from domain.ids import PREFIXES
from schema.root import schema
from schema.shared.nodes import OF

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"
TYPES = {name: it for name, it in schema._schema.type_map.items() if not name.startswith("__")}
BUILTIN = {"String", "Int", "Float", "Boolean", "ID"}


def test_the_committed_sdl_is_the_schema() -> None:
    assert SDL.read_text() == schema.as_str() + "\n", "run `make schema` and read the difference"


def test_every_noun_with_an_id_is_a_node_and_can_be_looked_up() -> None:
    nodes = {
        name for name, it in TYPES.items()
        if isinstance(it, GraphQLObjectType) and any(parent.name == "Node" for parent in it.interfaces)
    }  # fmt: skip
    assert nodes == set(PREFIXES) == set(OF)


def test_every_type_field_argument_input_field_and_enum_value_says_what_it_is() -> None:
    described = dict(parts())
    assert {"Job.events(kinds)", "LoginPayload.user", "LoginInput.email", "JobStatus.QUEUED"} <= set(
        described
    )
    assert [place for place, words in described.items() if not (words or "").strip()] == []


def test_what_a_mutation_is_given_says_the_same_as_its_type() -> None:
    kind = TYPES["CreateProjectInput"]
    assert dict(parts())["Mutation.createProject(input)"] == kind.description == "The project to create."


def parts() -> Iterator[tuple[str, str | None]]:
    """Every part of the schema that is ours and can be described: `Job`, `Job.events`, `Job.events(kinds)`."""
    for name, it in TYPES.items():
        if name not in BUILTIN:
            yield name, it.description
            yield from within(name, it)


def within(name: str, it: GraphQLNamedType) -> Iterator[tuple[str, str | None]]:
    """The parts of one type."""
    if isinstance(it, GraphQLEnumType):
        yield from ((f"{name}.{value}", its.description) for value, its in it.values.items())
    elif isinstance(it, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
        for field, its in it.fields.items():
            yield f"{name}.{field}", its.description
            for argument, taken in getattr(its, "args", {}).items():
                yield f"{name}.{field}({argument})", taken.description
    else:
        assert isinstance(it, GraphQLScalarType), f"{name} is of a kind that this test does not know"
