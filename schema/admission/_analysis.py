"""Query complexity of a document's operations: depth, aliases, root fields, and cost.

The analysis is linear in the document: each selection is visited once, and a fragment once however often it is spread.
The numbers are those of the operation with each fragment spread replaced by the fragment's selections.
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
from schema.admission._weights import INTROSPECTION_COST, MAX_COST, Weight, Weights, weights

MAX_DEPTH = 12
MAX_ALIASES = 30
MAX_ROOT_FIELDS = 20
MAX_FIELDS = 5_000
"""Fields of an operation with its fragments expanded: only fragments that spread each other repeatedly come to more."""
MAX_NESTED_SELECTIONS = 100
"""Selection sets inside each other, of fields and of fragments. What is nested deeper is not analysed."""

INTROSPECTION_FIELDS = frozenset({"__schema", "__type"})
"""Fields below which depth is not counted: graphql-core's own rules limit introspection."""


@dataclass(slots=True)
class SelectionSize:
    """The size of a selection set.

    `fields` counts its own fields; `depth`, `aliases` and `total` include everything below. `rows` is the part of the
    cost that a connection multiplies by its page size, `cost` the other part.
    """

    depth: int = 0
    aliases: int = 0
    fields: int = 0
    total: int = 0
    cost: CostExpression = field(default_factory=CostExpression)
    rows: CostExpression = field(default_factory=CostExpression)

    def add(self, other: "SelectionSize") -> None:
        """Add the selections of a fragment that is spread here."""
        self.depth = max(self.depth, other.depth)
        self.aliases += other.aliases
        self.fields += other.fields
        self.total += other.total
        self.cost.add(ONE, other.cost)
        self.rows.add(ONE, other.rows)


EMPTY = SelectionSize()


class SelectionsTooDeep(Exception):
    """Selection sets are nested so deeply that visiting them would exhaust the stack."""


class DocumentWalker:
    """Visits the selections of one document. Unknown names and fragment cycles count nothing: validation finds them."""

    def __init__(self, document: DocumentNode, weights: Weights) -> None:
        self._weights = weights
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._sizes: dict[str, SelectionSize] = {}

    def selection(
        self, selection_set: SelectionSetNode, parent: str | None, nesting: int = 1
    ) -> SelectionSize:
        """The size of a selection set on the type `parent`; raises `SelectionsTooDeep`."""
        if nesting > MAX_NESTED_SELECTIONS:
            raise SelectionsTooDeep
        size = SelectionSize()
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                self._add_field(size, node, parent, nesting)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition.name.value if node.type_condition else parent
                size.add(self.selection(node.selection_set, condition, nesting + 1))
            elif isinstance(node, FragmentSpreadNode):
                size.add(self._fragment(node.name.value, nesting + 1))
        return size

    def _fragment(self, name: str, nesting: int) -> SelectionSize:
        if name in self._sizes:
            return self._sizes[name]
        self._sizes[name] = EMPTY  # while the fragment is visited, which ends a cycle
        fragment = self._fragments.get(name)
        if fragment is not None:
            condition = fragment.type_condition.name.value
            self._sizes[name] = self.selection(fragment.selection_set, condition, nesting)
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
        size.depth = max(size.depth, 1 if name in INTROSPECTION_FIELDS else below.depth + 1)
        if weight is not None:
            _add_cost(size, weight, weight.multiplier(node), below)


def _add_cost(size: SelectionSize, weight: Weight, multiplier: Multiplier, below: SelectionSize) -> None:
    """Add the cost of a field that has a weight, with what is selected below it."""
    cost = CostExpression(weight.cost)
    cost.add(ONE, below.cost)
    cost.add(multiplier if weight.is_connection else ONE, below.rows)
    sum_of_field = size.rows if weight.is_row else size.cost
    sum_of_field.add(ONE if weight.is_connection else multiplier, cost)


@dataclass(frozen=True, slots=True)
class Operation:
    """An analysed operation, and the defaults of its variables; `size` is None where it is nested too deeply."""

    node: OperationDefinitionNode
    size: SelectionSize | None
    defaults: Mapping[str, Any]

    @property
    def error(self) -> GraphQLError | None:
        """The error of the first limit that the operation exceeds whatever its variables are."""
        if self.size is None:
            return depth_error()
        return first_exceeded(
            {
                "TOO_DEEP": ("levels of fields", self.size.depth, MAX_DEPTH),
                "TOO_MANY_ALIASES": ("aliases", self.size.aliases, MAX_ALIASES),
                "TOO_MANY_ROOT_FIELDS": ("root fields", self.size.fields, MAX_ROOT_FIELDS),
                "TOO_MANY_FIELDS": ("fields with its fragments written out", self.size.total, MAX_FIELDS),
            }
        )

    def cost(self, variables: Variables) -> int | None:
        """The cost with these values of the variables; None where the operation was not analysed."""
        if self.size is None:
            return None
        values = {**self.defaults, **variables} if self.size.cost.terms else variables
        return ceil(round(self.size.cost.value(values, {}), 3))  # introspection has fractional costs


def depth_error() -> GraphQLError:
    """The error of a document that is nested too deeply to be parsed or analysed."""
    message = f"The document nests more than {MAX_DEPTH} levels of fields: ask for less."
    return limit_error(message, "TOO_DEEP", MAX_DEPTH)


def expense_error(cost: int | None) -> GraphQLError | None:
    """The error of an operation whose cost exceeds the limit."""
    if cost is None or cost <= MAX_COST:
        return None
    message = (
        f"The operation would cost {cost:,} and may cost {MAX_COST:,}: "
        "ask for smaller pages or fewer fields, or in several requests."
    )
    return limit_error(message, "TOO_EXPENSIVE", MAX_COST, cost)


class Analysis:
    """Analyses documents against one schema, whose weights are computed once."""

    def __init__(self, schema: GraphQLSchema) -> None:
        roots = {"query": schema.query_type, "mutation": schema.mutation_type}
        roots["subscription"] = schema.subscription_type
        self._roots = {operation: root.name for operation, root in roots.items() if root}
        self._weights = weights(schema, 1)
        (introspection,) = self.operations(parse(get_introspection_query()))
        assert introspection.size
        self._weights = weights(schema, INTROSPECTION_COST / introspection.size.cost.value({}, {}))

    def operations(self, document: DocumentNode) -> list[Operation]:
        """The operations of a document in their order."""
        walker = DocumentWalker(document, self._weights)
        return [
            self._operation(definition, walker)
            for definition in document.definitions
            if isinstance(definition, OperationDefinitionNode)
        ]

    def _operation(self, node: OperationDefinitionNode, walker: DocumentWalker) -> Operation:
        try:
            size = walker.selection(node.selection_set, self._roots.get(node.operation.value))
        except SelectionsTooDeep:
            size = None
        return Operation(node, size, _defaults(node))


def _defaults(node: OperationDefinitionNode) -> dict[str, Any]:
    return {
        definition.variable.name.value: value_from_ast_untyped(definition.default_value)
        for definition in node.variable_definitions or ()
        if definition.default_value is not None
    }
