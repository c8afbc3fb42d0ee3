"""Plans of the fields of an operation, made once and cached with its document.

A plan depends on the schema, the document and the variables, and on neither data nor user, so one plan serves all requests
with the same document and variables. A field that only graphql-core can execute has no plan.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    TypeNameMetaFieldDef,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetailsList, FragmentDetails, collect_subfields
from graphql.execution.values import VariableValues, get_argument_values
from strawberry.schema.base import BaseSchema
from strawberry.types.arguments import convert_arguments
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from schema.execution._bound_resolver import DEFINITION, BoundResolver, bound_resolver, definition_of
from schema.execution._columns import (
    ColumnCompletion,
    FieldPlan,
    attribute_reader,
    instance_check,
    list_completion,
    nullable_completion,
    object_completion,
)
from schema.execution._leaf_values import leaf_serializer

T = TypeVar("T")
Plans = dict[Any, Any]
"""Plans by the method that made them, the type, and the identities of the field's nodes."""

UNCHANGED = ColumnCompletion(lambda values: values)


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans the fields of one operation; `plans` has those made before, for the same document and variables."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDetails]
    variables: VariableValues
    hide_suggestions: bool
    plans: Plans = field(default_factory=dict)

    def resolver(self, parent: GraphQLObjectType, details: FieldDetailsList) -> BoundResolver | None:
        """The bound resolver of a field; None where strawberry has to call it."""
        return self._planned(self._find_resolver, parent, details)

    def attribute(self, parent: GraphQLObjectType, details: FieldDetailsList) -> FieldPlan | None:
        """The plan of a field that is an attribute of its object; None where it is none."""
        return self._planned(self._find_attribute, parent, details)

    def field(self, parent: GraphQLObjectType, details: FieldDetailsList) -> FieldPlan | None:
        """The plan of a field; None where graphql-core has to execute it."""
        return self._planned(self._find_field, parent, details)

    def completion(self, kind: GraphQLOutputType, details: FieldDetailsList) -> ColumnCompletion | None:
        """The completion of a type; None where graphql-core has to complete its values."""
        return self._planned(self._find_completion, kind, details)

    def object(self, kind: GraphQLObjectType, details: FieldDetailsList) -> ColumnCompletion | None:
        """The completion of an object type; None where graphql-core has to complete its objects."""
        classes = _classes(kind)
        selected = self._selected(kind, details) if classes else None
        if selected is None:
            return None
        plans = {name: self.field(kind, selection) for name, selection in selected.items()}
        known = {name: plan for name, plan in plans.items() if plan is not None}
        return object_completion(instance_check(classes), known) if len(known) == len(plans) else None

    def _planned(
        self, find: Callable[[Any, FieldDetailsList], T], kind: GraphQLOutputType, details: FieldDetailsList
    ) -> T:
        """The result of `find`, which is called once for the same type and nodes.

        Nodes are compared by identity, for the document is cached as long as its plans.
        """
        nodes = id(details[0].node) if len(details) == 1 else tuple(id(detail.node) for detail in details)
        key = (find.__name__, kind, nodes)
        try:
            found: T = self.plans[key]
        except KeyError:
            found = self.plans[key] = find(kind, details)
        return found

    def _find_resolver(self, parent: GraphQLObjectType, details: FieldDetailsList) -> BoundResolver | None:
        field = self.schema.get_field(parent, details[0].node.name.value)
        definition = definition_of(field)
        if not field or not definition:
            return None
        try:
            arguments = self._arguments(field, definition, details)
        except Exception:  # noqa: BLE001 - graphql-core raises it again, and reports it
            return None
        return bound_resolver(parent, field, definition, _nodes(details), arguments)

    def _arguments(
        self, field: GraphQLField, definition: StrawberryField, details: FieldDetailsList
    ) -> dict[str, Any]:
        """The arguments of a field, converted for its resolver."""
        first = details[0]
        raw = get_argument_values(
            field, first.node, self.variables, first.fragment_variable_values, self.hide_suggestions
        )
        whole: BaseSchema = self.schema.extensions[DEFINITION]
        registry = whole.schema_converter.scalar_registry
        return convert_arguments(raw, definition.arguments, registry, whole.config)

    def _find_field(self, parent: GraphQLObjectType, details: FieldDetailsList) -> FieldPlan | None:
        return self.attribute(parent, details) or self._resolved(parent, details)

    def _find_attribute(self, parent: GraphQLObjectType, details: FieldDetailsList) -> FieldPlan | None:
        node = details[0].node
        field = self.schema.get_field(parent, node.name.value)
        if field is None or field.args or node.arguments:
            return None
        if field is TypeNameMetaFieldDef:
            return FieldPlan(UNCHANGED, lambda sources: [parent.name] * len(sources))
        definition = definition_of(field)
        if not definition or not definition.is_basic_field or definition.default_resolver is not getattr:
            return None
        completion = self.completion(field.type, details)
        return None if completion is None else FieldPlan(completion, attribute_reader(definition.python_name))

    def _resolved(self, parent: GraphQLObjectType, details: FieldDetailsList) -> FieldPlan | None:
        resolver = self.resolver(parent, details)
        if resolver is None or resolver.is_coroutine:
            return None
        completion = self.completion(resolver.field.type, details)
        return None if completion is None else FieldPlan(completion, None, resolver)

    def _find_completion(self, kind: GraphQLOutputType, details: FieldDetailsList) -> ColumnCompletion | None:
        if is_non_null_type(kind):
            return self._non_null_completion(kind.of_type, details)
        completion = self._non_null_completion(kind, details)
        return None if completion is None else nullable_completion(completion)

    def _non_null_completion(
        self, kind: GraphQLOutputType, details: FieldDetailsList
    ) -> ColumnCompletion | None:
        if is_leaf_type(kind):
            return ColumnCompletion(leaf_serializer(kind))
        if is_list_type(kind):
            item = self.completion(kind.of_type, details)
            return None if item is None else list_completion(item)
        return self.object(kind, details) if is_object_type(kind) else None

    def _selected(
        self, kind: GraphQLObjectType, details: FieldDetailsList
    ) -> Mapping[str, FieldDetailsList] | None:
        """The fields that are selected of an object; None where some are deferred, or the selection is in error."""
        try:
            selected, deferred, _ = collect_subfields(
                self.schema,
                dict(self.fragments),
                self.variables,
                self.operation,
                kind,
                details,
                self.hide_suggestions,
            )
        except Exception:  # noqa: BLE001 - graphql-core raises it again, should the field be executed at all
            return None
        return None if deferred else selected


def _nodes(details: FieldDetailsList) -> list[FieldNode]:
    return [detail.node for detail in details]


def _classes(kind: GraphQLObjectType) -> frozenset[type]:
    """The classes whose instances are certainly of a type; none where the type decides that by itself."""
    definition = (kind.extensions or {}).get(DEFINITION)
    if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of:
        return frozenset()
    generic = definition.concrete_of
    return frozenset({definition.origin, generic.origin} if generic else {definition.origin})
