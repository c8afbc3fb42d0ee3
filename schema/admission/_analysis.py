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

from schema.admission._cost import ONE, CostExpression, Multiplier, Variables
from schema.admission._limits import first_exceeded, limit_error
from schema.admission._weights import INTROSPECTION, MAX_COST, Weight, Weights, weights

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
class SelectionSize:
    """What a selection amounts to; `rows` is the cost that a connection's page size multiplies.

    `fields` are its own, `depth`, `aliases` and `total` those of everything below it too.
    """

    depth: int = 0
    aliases: int = 0
    fields: int = 0
    total: int = 0
    cost: CostExpression = field(default_factory=CostExpression)
    rows: CostExpression = field(default_factory=CostExpression)

    def add(self, other: "SelectionSize") -> None:
        """Add the selection of a fragment that is spread here."""
        self.depth = max(self.depth, other.depth)
        self.aliases += other.aliases
        self.fields += other.fields
        self.total += other.total
        self.cost.add(ONE, other.cost)
        self.rows.add(ONE, other.rows)


EMPTY = SelectionSize()


class TooNested(Exception):
    """Selections are nested so deeply that walking them would exhaust the stack."""


class DocumentWalker:
    """The walk over one document. Unknown names and circular fragments count nothing: other rules refuse them."""

    def __init__(self, document: DocumentNode, weights: Weights) -> None:
        self._weights = weights
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._sizes: dict[str, SelectionSize] = {}

    def selection(self, selected: SelectionSetNode, parent: str | None, nesting: int = 1) -> SelectionSize:
        """The size of a selection on a type; raises `TooNested`."""
        if nesting > MAX_NESTING:
            raise TooNested
        size = SelectionSize()
        for node in selected.selections:
            if isinstance(node, FieldNode):
                self._add_field(size, node, parent, nesting)
            elif isinstance(node, InlineFragmentNode):
                on = node.type_condition.name.value if node.type_condition else parent
                size.add(self.selection(node.selection_set, on, nesting + 1))
            elif isinstance(node, FragmentSpreadNode):
                size.add(self._fragment(node.name.value, nesting + 1))
        return size

    def _fragment(self, name: str, nesting: int) -> SelectionSize:
        if name in self._sizes:
            return self._sizes[name]
        self._sizes[name] = EMPTY  # while it is walked: a circle ends here
        fragment = self._fragments.get(name)
        if fragment is not None:
            on = fragment.type_condition.name.value
            self._sizes[name] = self.selection(fragment.selection_set, on, nesting)
        return self._sizes[name]

    def _add_field(self, size: SelectionSize, node: FieldNode, parent: str | None, nesting: int) -> None:
        name = node.name.value
        weight = self._weights.get(parent or "", {}).get(name)
        below = EMPTY
        if node.selection_set:
            below = self.selection(node.selection_set, weight.type if weight else None, nesting + 1)
        size.fields += 1
        size.total += below.total + 1
        size.aliases += below.aliases + (node.alias is not None)
        size.depth = max(size.depth, 1 if name in ENTRIES else below.depth + 1)
        if weight is not None:
            _add_cost(size, weight, weight.multiplier(node), below)


def _add_cost(size: SelectionSize, weight: Weight, multiplier: Multiplier, below: SelectionSize) -> None:
    """Add the cost of a field that has a weight, with what is selected below it."""
    cost = CostExpression(weight.own)
    cost.add(ONE, below.cost)
    cost.add(multiplier if weight.page else ONE, below.rows)
    (size.rows if weight.row else size.cost).add(ONE if weight.page else multiplier, cost)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document, as it was analysed."""

    node: OperationDefinitionNode
    size: SelectionSize | None
    defaults: Mapping[str, Any]

    @property
    def error(self) -> GraphQLError | None:
        """Which limit it passes, whatever its variables are."""
        if self.size is None:
            return too_deep()
        return first_exceeded(
            {
                "TOO_DEEP": ("levels of fields", self.size.depth, MAX_DEPTH),
                "TOO_MANY_ALIASES": ("aliases", self.size.aliases, MAX_ALIASES),
                "TOO_MANY_ROOT_FIELDS": ("root fields", self.size.fields, MAX_ROOT_FIELDS),
                "TOO_MANY_FIELDS": ("fields with its fragments written out", self.size.total, MAX_FIELDS),
            }
        )

    def cost(self, variables: Variables) -> int | None:
        """What it costs with these variables, None when it was not walked to its end."""
        if self.size is None:
            return None
        given = {**self.defaults, **variables} if self.size.cost.parts else variables
        return ceil(round(self.size.cost.value(given, {}), 3))  # introspection costs fractions


def too_deep() -> GraphQLError:
    """The refusal of a document that is not read to its end."""
    message = f"The document nests more than {MAX_DEPTH} levels of fields: ask for less."
    return limit_error(message, "TOO_DEEP", MAX_DEPTH)


def too_expensive(cost: int | None) -> GraphQLError | None:
    """The refusal of an operation by its cost."""
    if cost is None or cost <= MAX_COST:
        return None
    message = (
        f"The operation would cost {cost:,} and may cost {MAX_COST:,}: "
        "ask for smaller pages or fewer fields, or in several requests."
    )
    return limit_error(message, "TOO_EXPENSIVE", MAX_COST, cost)


class Analysis:
    """The rule for one schema, made once."""

    def __init__(self, schema: GraphQLSchema) -> None:
        roots = {"query": schema.query_type, "mutation": schema.mutation_type}
        roots["subscription"] = schema.subscription_type
        self._roots = {word: type.name for word, type in roots.items() if type}
        self._table = weights(schema, 1)
        (whole,) = self.operations(parse(get_introspection_query()))
        assert whole.size
        self._table = weights(schema, INTROSPECTION / whole.size.cost.value({}, {}))

    def operations(self, document: DocumentNode) -> list[Operation]:
        """The operations of a document in their order."""
        walker = DocumentWalker(document, self._table)
        found = (it for it in document.definitions if isinstance(it, OperationDefinitionNode))
        return [self._operation(it, walker) for it in found]

    def _operation(self, node: OperationDefinitionNode, walker: DocumentWalker) -> Operation:
        try:
            size = walker.selection(node.selection_set, self._roots.get(node.operation.value))
        except TooNested:
            size = None
        return Operation(node, size, _defaults(node))


def _defaults(node: OperationDefinitionNode) -> dict[str, Any]:
    written = ((it.variable.name.value, it.default_value) for it in node.variable_definitions or ())
    return {name: value_from_ast_untyped(value) for name, value in written if value is not None}
