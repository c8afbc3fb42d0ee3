"""What each field costs: an object 1, a list as many as are asked for, a mutation 10, a scalar nothing.

An object is what has to be read, so scalars and lists that lie in an object's own row (`userErrors`,
`artifacts`) count nothing more. A connection's page size multiplies its `edges` and `nodes`, and not
its `pageInfo`. Introspection reads nothing but keeps the processor busy: its objects cost so much that
the standard introspection query comes to `INTROSPECTION`.
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
MUTATION = 10
INTROSPECTION = 4_000
PAGE = 20
MAX_PAGE = 100
MAX_SIZE = 2_000


@dataclass(frozen=True, slots=True)
class Weight:
    """What one field of a type adds.

    `arguments` are those that say how many; a `page` hands that number on to the fields that are its `row`.
    """

    own: float
    type: str | None
    default: float = 1
    cap: int = 1
    arguments: tuple[str, ...] = ()
    page: bool = False
    row: bool = False

    def multiplier(self, node: FieldNode) -> Multiplier:
        """How many this use of the field asks for."""
        given = [it.value for it in node.arguments or () if it.name.value in self.arguments]
        known = [it for value in given if (it := _written(value)) is not None]
        variables = tuple(it.name.value for it in given if isinstance(it, VariableNode))
        return Multiplier(self.default, self.cap, max(known, default=None), variables)


def _written(value: ValueNode) -> float | None:
    """What an argument says that is written out."""
    if isinstance(value, (VariableNode, NullValueNode)):
        return None
    if isinstance(value, ListValueNode):
        return len(value.values)
    return float(value.value) if isinstance(value, IntValueNode) else 1


Weights = Mapping[str, Mapping[str, Weight]]
"""By the names of a type and of its field; what is absent costs nothing."""


def weights(schema: GraphQLSchema, introspected: float) -> Weights:
    """The weights of a schema whose introspected objects cost `introspected` each."""
    assert schema.query_type
    sizes = _introspection_sizes(schema)
    found: dict[str, dict[str, Weight]] = {}
    for name, kind in schema.type_map.items():
        if name.startswith("__") and isinstance(kind, GraphQLObjectType):
            found[name] = _introspection(kind, introspected, sizes)
        elif isinstance(kind, (GraphQLObjectType, GraphQLInterfaceType)):
            found[name] = _objects(kind, MUTATION if kind is schema.mutation_type else 1)
    entries = {"__schema": "__Schema", "__type": "__Type"}
    found[schema.query_type.name] |= {it: Weight(introspected, kind) for it, kind in entries.items()}
    return found


def _objects(kind: GraphQLObjectType | GraphQLInterfaceType, own: float) -> dict[str, Weight]:
    made = {name: _weight(field, own, "pageInfo" in kind.fields) for name, field in kind.fields.items()}
    return {name: weight for name, weight in made.items() if weight.type or weight.arguments}


def _weight(field: GraphQLField, own: float, in_page: bool) -> Weight:
    type = _object(field)
    if "first" in field.args and "last" in field.args:
        return Weight(own, type, PAGE, MAX_PAGE, ("first", "last"), page=True)
    if not isinstance(get_nullable_type(field.type), GraphQLList):
        return Weight(own, type)
    sizes = tuple(it for it, taken in field.args.items() if str(taken.type).rstrip("!") in {"Int", "[ID!]"})
    defaults = [it for name in sizes if isinstance(it := field.args[name].default_value, int)]
    return Weight(own, type, max(defaults, default=1), MAX_SIZE, sizes, row=in_page)


def _object(field: GraphQLField) -> str | None:
    """The name of a field's type, None where it has no fields of its own."""
    kind = get_named_type(field.type)
    return None if is_leaf_type(kind) else kind.name


def _introspection(kind: GraphQLObjectType, own: float, sizes: Mapping[str, float]) -> dict[str, Weight]:
    return {
        name: Weight(own, type, sizes.get(name, 1))
        for name, field in kind.fields.items()
        if (type := _object(field))
    }


def _introspection_sizes(schema: GraphQLSchema) -> dict[str, float]:
    """How long the lists of this schema's introspection are, on average."""
    kinds = schema.type_map.values()
    fields = [it for kind in kinds for it in getattr(kind, "fields", {}).values()]
    totals = {
        "fields": sum(hasattr(it, "args") for it in fields),
        "inputFields": sum(not hasattr(it, "args") for it in fields),
        "enumValues": sum(len(getattr(it, "values", ())) for it in kinds),
        "interfaces": sum(len(getattr(it, "interfaces", ())) for it in kinds),
        "possibleTypes": sum(len(schema.get_possible_types(it)) for it in kinds if is_abstract_type(it)),
    }
    sizes = {name: total / len(kinds) for name, total in totals.items()}
    sizes["args"] = sum(len(getattr(it, "args", ())) for it in fields) / totals["fields"]
    wrappers = 0.6  # of `ofType` one finds something, a little more often than not
    return sizes | {"types": len(kinds), "directives": len(schema.directives), "ofType": wrappers}
