"""The cost of each field: an object costs 1, a list as much as its requested length, a mutation 10, a scalar nothing.

What costs is an object that has to be read: scalars, and lists that are stored in an object's own row (`userErrors`,
`artifacts`), add nothing. A connection's page size multiplies the cost of its `edges` and `nodes`, but not of its
`pageInfo`. Introspection reads nothing but takes processor time: its objects are weighted so that graphql-core's
introspection query costs `INTROSPECTION_COST`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
)

from schema.admission._cost import Multiplier

MAX_COST = 5_000
MUTATION_COST = 10
INTROSPECTION_COST = 4_000
DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
MAX_LIST_SIZE = 2_000


@dataclass(frozen=True, slots=True)
class Weight:
    """The weight of one field in the cost; `type` is the name of its object type.

    `size_arguments` are those that ask for a number of objects. A connection multiplies by that number those
    fields of its type that are rows of the list; another field multiplies itself.
    """

    cost: float
    type: str | None
    default_size: float = 1
    max_size: int = 1
    size_arguments: tuple[str, ...] = ()
    is_connection: bool = False
    is_row: bool = False

    def multiplier(self, node: FieldNode) -> Multiplier:
        """The multiplier of a selected field: the number of objects that its size arguments request."""
        arguments = [
            argument.value for argument in node.arguments or () if argument.name.value in self.size_arguments
        ]
        literals = [size for value in arguments if (size := _literal_size(value)) is not None]
        variables = tuple(value.name.value for value in arguments if isinstance(value, VariableNode))
        return Multiplier(self.default_size, self.max_size, max(literals, default=None), variables)


def _literal_size(value: ValueNode) -> float | None:
    """The size that an argument's literal requests; None for a variable, and for null."""
    if isinstance(value, (VariableNode, NullValueNode)):
        return None
    if isinstance(value, ListValueNode):
        return len(value.values)
    return float(value.value) if isinstance(value, IntValueNode) else 1


Weights = Mapping[str, Mapping[str, Weight]]
"""By the name of a type and the name of its field; a field that is absent costs nothing."""


def weights(schema: GraphQLSchema, introspection_cost: float) -> Weights:
    """The weights of a schema; each object of introspection costs `introspection_cost`."""
    assert schema.query_type
    sizes = _introspection_sizes(schema)
    by_type: dict[str, dict[str, Weight]] = {}
    for name, kind in schema.type_map.items():
        if name.startswith("__") and isinstance(kind, GraphQLObjectType):
            by_type[name] = _introspection_weights(kind, introspection_cost, sizes)
        elif isinstance(kind, (GraphQLObjectType, GraphQLInterfaceType)):
            by_type[name] = _field_weights(kind, MUTATION_COST if kind is schema.mutation_type else 1)
    by_type[schema.query_type.name] |= {
        "__schema": Weight(introspection_cost, "__Schema"),
        "__type": Weight(introspection_cost, "__Type"),
    }
    return by_type


def _field_weights(kind: GraphQLObjectType | GraphQLInterfaceType, cost: float) -> dict[str, Weight]:
    of_connection = "pageInfo" in kind.fields
    fields = {name: _weight(field, cost, of_connection) for name, field in kind.fields.items()}
    return {name: weight for name, weight in fields.items() if weight.type or weight.size_arguments}


def _weight(field: GraphQLField, cost: float, of_connection: bool) -> Weight:
    """The weight of a field; `of_connection` says whether its type is a connection."""
    type = _object_type(field)
    if "first" in field.args and "last" in field.args:
        return Weight(
            cost, type, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, size_arguments=("first", "last"), is_connection=True
        )
    if not isinstance(get_nullable_type(field.type), GraphQLList):
        return Weight(cost, type)
    sizes = tuple(
        name for name, argument in field.args.items() if str(argument.type).rstrip("!") in {"Int", "[ID!]"}
    )
    defaults = [default for name in sizes if isinstance(default := field.args[name].default_value, int)]
    return Weight(cost, type, max(defaults, default=1), MAX_LIST_SIZE, sizes, is_row=of_connection)


def _object_type(field: GraphQLField) -> str | None:
    """The name of a field's type; None where that has no fields of its own."""
    kind = get_named_type(field.type)
    return None if is_leaf_type(kind) else kind.name


def _introspection_weights(
    kind: GraphQLObjectType, cost: float, sizes: Mapping[str, float]
) -> dict[str, Weight]:
    return {
        name: Weight(cost, type, sizes.get(name, 1))
        for name, field in kind.fields.items()
        if (type := _object_type(field))
    }


def _introspection_sizes(schema: GraphQLSchema) -> dict[str, float]:
    """The average lengths of the lists in the introspection of this schema, by the names of their fields."""
    kinds = schema.type_map.values()
    fields = [field for kind in kinds for field in getattr(kind, "fields", {}).values()]
    totals = {
        "fields": sum(hasattr(field, "args") for field in fields),
        "inputFields": sum(not hasattr(field, "args") for field in fields),
        "enumValues": sum(len(getattr(kind, "values", ())) for kind in kinds),
        "interfaces": sum(len(getattr(kind, "interfaces", ())) for kind in kinds),
        "possibleTypes": sum(
            len(schema.get_possible_types(kind)) for kind in kinds if is_abstract_type(kind)
        ),
    }
    sizes = {name: total / len(kinds) for name, total in totals.items()}
    sizes["args"] = sum(len(getattr(field, "args", ())) for field in fields) / totals["fields"]
    of_type = 0.6  # the share of types that wrap another one, rounded up
    return sizes | {"types": len(kinds), "directives": len(schema.directives), "ofType": of_type}
