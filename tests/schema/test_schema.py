"""The schema as a whole."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
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
from schema.shared.nodes import NODE_TYPES

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"
TYPES = {name: kind for name, kind in schema._schema.type_map.items() if not name.startswith("__")}
BUILTIN = {"String", "Int", "Float", "Boolean", "ID"}


def test_the_committed_sdl_is_the_schema() -> None:
    assert SDL.read_text() == schema.as_str() + "\n", "run `make schema` and read the difference"


def test_every_noun_with_an_id_is_a_registered_node_type() -> None:
    nodes = {
        name for name, kind in TYPES.items()
        if isinstance(kind, GraphQLObjectType) and any(parent.name == "Node" for parent in kind.interfaces)
    }  # fmt: skip
    assert nodes == set(PREFIXES) == set(NODE_TYPES)


def test_every_part_of_the_schema_has_a_description() -> None:
    described = dict(parts())
    assert {"Job.events(kinds)", "LoginPayload.user", "LoginInput.email", "JobStatus.QUEUED"} <= set(
        described
    )
    assert [place for place, words in described.items() if not (words or "").strip()] == []


def test_every_scalar_names_its_specification() -> None:
    scalars = {name: kind for name, kind in TYPES.items() if isinstance(kind, GraphQLScalarType)}
    assert {name: kind.specified_by_url for name, kind in scalars.items() if name not in BUILTIN} == {
        "BigInt": "https://www.rfc-editor.org/rfc/rfc7493#section-2.2",
        "DateTime": "https://www.rfc-editor.org/rfc/rfc3339#section-5.6",
        "JSON": "https://ecma-international.org/wp-content/uploads/ECMA-404_2nd_edition_december_2017.pdf",
    }


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("BigInt", -(2**53), -(2**53)),
        ("BigInt", 2**53 + 1, "9007199254740993"),
        ("DateTime", datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00+00:00"),
        ("DateTime", datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC), "2026-01-31T12:00:00.000005+00:00"),
    ],
)
def test_a_scalar_is_written_and_read_as_specified(name: str, value: Any, written: Any) -> None:
    scalar = TYPES[name]
    assert isinstance(scalar, GraphQLScalarType)
    assert (scalar.serialize(value), scalar.parse_value(written)) == (written, value)


def test_the_input_of_a_mutation_has_the_description_of_its_type() -> None:
    kind = TYPES["CreateProjectInput"]
    assert dict(parts())["Mutation.createProject(input)"] == kind.description == "The project to create."


def parts() -> Iterator[tuple[str, str | None]]:
    """The coordinates and descriptions of the schema: `Job`, `Job.events`, `Job.events(kinds)`."""
    for name, kind in TYPES.items():
        if name not in BUILTIN:
            yield name, kind.description
            yield from within(name, kind)


def within(name: str, kind: GraphQLNamedType) -> Iterator[tuple[str, str | None]]:
    """The coordinates and descriptions within one type."""
    if isinstance(kind, GraphQLEnumType):
        yield from ((f"{name}.{member}", value.description) for member, value in kind.values.items())
    elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
        for member, field in kind.fields.items():
            yield f"{name}.{member}", field.description
            for argument_name, argument in getattr(field, "args", {}).items():
                yield f"{name}.{member}({argument_name})", argument.description
    else:
        assert isinstance(kind, GraphQLScalarType), f"{name} is of a kind that this test does not know"
