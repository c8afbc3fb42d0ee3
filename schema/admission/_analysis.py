"""The shape of a document's operations: how deep, how many aliases and root fields, and what they cost.

One walk, linear in the document: each selection is met once, and a fragment is walked once however often
it is spread. Numbers are those of the operation with its fragments written out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_introspection_query,
    parse,
    value_from_ast_untyped,
)

from schema.admission._cost import ONE, Sum, Variables
from schema.admission._limits import exceeding, refusal
from schema.admission._weights import INTROSPECTION, MAX_COST, Weights, weights

MAX_DEPTH = 12
MAX_ALIASES = 30
MAX_ROOT_FIELDS = 20
MAX_FIELDS = 5_000
"""With fragments written out: only fragments that spread each other again and again come to more."""
MAX_NESTING = 100
"""Selections within selections, of fields and of fragments; what is deeper is not walked to its end."""


ENTRIES = frozenset({"__schema", "__type"})
"""Depth is not counted below them: the stock rules bound introspection."""


@dataclass(slots=True)
class Shape:
    """What a selection amounts to; `rows` is what a connection's page size multiplies.

    `fields` are its own, `depth`, `aliases` and `total` those of everything below it too.
    """

    depth: int = 0
    aliases: int = 0
    fields: int = 0
    total: int = 0
    cost: Sum = field(default_factory=Sum)
    rows: Sum = field(default_factory=Sum)

    def add(self, other: "Shape") -> None:
        """Take in a fragment's selection."""
        self.depth = max(self.depth, other.depth)
        self.aliases += other.aliases
        self.fields += other.fields
        self.total += other.total
        self.cost.add(ONE, other.cost)
        self.rows.add(ONE, other.rows)


NOTHING = Shape()


class TooNested(Exception):
    """Selections are nested so deeply that walking them would exhaust the stack."""


class Walk:
    """The walk over one document. Unknown names and circles count nothing: other rules refuse them."""

    def __init__(self, document: DocumentNode, table: Weights) -> None:
        self._table = table
        found = (it for it in document.definitions if isinstance(it, FragmentDefinitionNode))
        self._fragments = {it.name.value: it for it in found}
        self._shapes: dict[str, Shape] = {}

    def selection(self, selected: SelectionSetNode, parent: str | None, nesting: int = 1) -> Shape:
        """The shape of a selection on a type; raises `TooNested`."""
        if nesting > MAX_NESTING:
            raise TooNested
        shape = Shape()
        for it in selected.selections:
            if isinstance(it, FieldNode):
                self._field(shape, it, parent, nesting)
            elif isinstance(it, InlineFragmentNode):
                on = it.type_condition.name.value if it.type_condition else parent
                shape.add(self.selection(it.selection_set, on, nesting + 1))
            elif isinstance(it, FragmentSpreadNode):
                shape.add(self._fragment(it.name.value, nesting + 1))
        return shape

    def _fragment(self, name: str, nesting: int) -> Shape:
        if name in self._shapes:
            return self._shapes[name]
        self._shapes[name] = NOTHING  # while it is walked: a circle ends here
        it = self._fragments.get(name)
        if it is not None:
            self._shapes[name] = self.selection(it.selection_set, it.type_condition.name.value, nesting)
        return self._shapes[name]

    def _field(self, shape: Shape, node: FieldNode, parent: str | None, nesting: int) -> None:
        name = node.name.value
        weight = self._table.get(parent or "", {}).get(name)
        below = NOTHING
        if node.selection_set:
            below = self.selection(node.selection_set, weight.type if weight else None, nesting + 1)
        shape.fields += 1
        shape.total += below.total + 1
        shape.aliases += below.aliases + (node.alias is not None)
        shape.depth = max(shape.depth, 1 if name in ENTRIES else below.depth + 1)
        if weight is None:
            return
        size, cost = weight.size(node), Sum(weight.own)
        cost.add(ONE, below.cost)
        cost.add(size if weight.page else ONE, below.rows)
        (shape.rows if weight.row else shape.cost).add(ONE if weight.page else size, cost)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document, as it was analysed."""

    node: OperationDefinitionNode
    shape: Shape | None
    defaults: Mapping[str, Any]

    @property
    def excess(self) -> GraphQLError | None:
        """Which limit it passes, whatever its variables are."""
        if self.shape is None:
            return too_deep()
        return exceeding(
            {
                "TOO_DEEP": ("levels of fields", self.shape.depth, MAX_DEPTH),
                "TOO_MANY_ALIASES": ("aliases", self.shape.aliases, MAX_ALIASES),
                "TOO_MANY_ROOT_FIELDS": ("root fields", self.shape.fields, MAX_ROOT_FIELDS),
                "TOO_MANY_FIELDS": ("fields with its fragments written out", self.shape.total, MAX_FIELDS),
            }
        )

    def cost(self, variables: Variables) -> int | None:
        """What it costs with these variables, None when it was not walked to its end."""
        if self.shape is None:
            return None
        given = {**self.defaults, **variables} if self.shape.cost.parts else variables
        return ceil(round(self.shape.cost.value(given, {}), 3))  # introspection costs fractions


def too_deep() -> GraphQLError:
    """The refusal of a document that is not read to its end."""
    message = f"The document nests more than {MAX_DEPTH} levels of fields: ask for less."
    return refusal(message, "TOO_DEEP", MAX_DEPTH)


def too_expensive(cost: int | None) -> GraphQLError | None:
    """The refusal of an operation by its cost."""
    if cost is None or cost <= MAX_COST:
        return None
    message = (
        f"The operation would cost {cost:,} and may cost {MAX_COST:,}: "
        "ask for smaller pages or fewer fields, or in several requests."
    )
    return refusal(message, "TOO_EXPENSIVE", MAX_COST, cost)


class Analysis:
    """The rule for one schema, made once."""

    def __init__(self, schema: GraphQLSchema) -> None:
        roots = {"query": schema.query_type, "mutation": schema.mutation_type}
        roots["subscription"] = schema.subscription_type
        self._roots = {word: type.name for word, type in roots.items() if type}
        self._table = weights(schema, 1)
        (whole,) = self.operations(parse(get_introspection_query()))
        assert whole.shape
        self._table = weights(schema, INTROSPECTION / whole.shape.cost.value({}, {}))

    def operations(self, document: DocumentNode) -> list[Operation]:
        """The operations of a document in their order."""
        walk = Walk(document, self._table)
        found = (it for it in document.definitions if isinstance(it, OperationDefinitionNode))
        return [self._operation(it, walk) for it in found]

    def _operation(self, node: OperationDefinitionNode, walk: Walk) -> Operation:
        try:
            shape = walk.selection(node.selection_set, self._roots.get(node.operation.value))
        except TooNested:
            shape = None
        return Operation(node, shape, _defaults(node))


def _defaults(node: OperationDefinitionNode) -> dict[str, Any]:
    written = ((it.variable.name.value, it.default_value) for it in node.variable_definitions or ())
    return {name: value_from_ast_untyped(value) for name, value in written if value is not None}
