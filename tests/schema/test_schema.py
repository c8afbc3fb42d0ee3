"""The schema as a whole."""

from pathlib import Path

from graphql import GraphQLInterfaceType, GraphQLObjectType

from domain.ids import PREFIXES
from schema.base import OF
from schema.root import schema

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"
TYPES = {name: it for name, it in schema._schema.type_map.items() if not name.startswith("__")}


def test_the_committed_sdl_is_the_schema() -> None:
    assert SDL.read_text() == schema.as_str() + "\n", "run `make schema` and read the difference"


def test_every_noun_with_an_id_is_a_node_and_can_be_looked_up() -> None:
    nodes = {
        name for name, it in TYPES.items()
        if isinstance(it, GraphQLObjectType) and any(parent.name == "Node" for parent in it.interfaces)
    }  # fmt: skip
    assert nodes == set(PREFIXES) == set(OF)


def test_every_field_of_an_object_says_what_it_is() -> None:
    silent = [
        f"{name}.{field}"
        for name, it in TYPES.items()
        if isinstance(it, GraphQLObjectType | GraphQLInterfaceType) and not name.endswith("Payload")
        for field, value in it.fields.items()
        if not value.description
    ]
    assert silent == []


def test_every_type_says_what_it_is() -> None:
    builtin = {"String", "Int", "Float", "Boolean", "ID"}
    assert [name for name, it in TYPES.items() if not it.description and name not in builtin] == []
