"""Events of subscriptions that are executed and encoded once for all subscribers with the same selection.

A result is shared only where it cannot differ: all selected fields are attributes of the event, without a resolver, an
argument or an error. The permission to subscribe was checked before, when the stream of events started.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from graphql import (
    ExecutionResult,
    GraphQLNamedType,
    GraphQLObjectType,
    OperationDefinitionNode,
    get_named_type,
    is_abstract_type,
    is_object_type,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetailsList, collect_fields

from schema.execution._executor import ColumnExecutor
from schema.execution._json import encode_json

MAX_RESULTS = 4
"""The most selections whose results an event caches: each is as large as the event."""
Selection = tuple[int, tuple[tuple[str, bool], ...]]
"""An operation, by its identity, and the variables that `@skip` and `@include` can be given."""


class SharedEvent:
    """An event that never changes, of which every subscriber is given the same object."""

    @cached_property
    def results(self) -> "dict[Selection, SharedResult]":
        """The results of the selections that were executed."""
        return {}


@dataclass(frozen=True, slots=True)
class SharedResult:
    """A finished execution, in the place of an executor. It references the operation, so that its id stays unique."""

    operation: OperationDefinitionNode
    result: ExecutionResult

    def execute_operation(self, serially: bool | None = None) -> ExecutionResult:  # noqa: ARG002 - graphql-core's signature
        """The result."""
        return self.result


class SharingExecutor(ColumnExecutor):
    """The column executor, whose subscriptions share their results."""

    def build_per_event_executor(self, payload: Any) -> Executor[Any]:
        """The executor of a subscription's event, or a `SharedResult` of the same selection on the same event."""
        if not isinstance(payload, SharedEvent):
            return super().build_per_event_executor(payload)
        result = payload.results.get(self._selection) or self._execute_for_all(payload)
        return result or super().build_per_event_executor(payload)  # type: ignore[return-value]  # it executes, too

    def _execute_for_all(self, event: SharedEvent) -> SharedResult | None:
        """The result on an event; None where it may differ between subscribers, or has errors."""
        if not self._selects_attributes:
            return None
        result = super().build_per_event_executor(event).execute_operation(serially=False)
        if not isinstance(result, ExecutionResult) or result.errors:
            return None
        if len(event.results) >= MAX_RESULTS:
            event.results.clear()
        encoded: Any = orjson.Fragment(encode_json(result.data))
        shared = SharedResult(self.operation, ExecutionResult(encoded))
        event.results[self._selection] = shared
        return shared

    @cached_property
    def _selection(self) -> Selection:
        values = self.variable_values.coerced.items()
        return id(self.operation), tuple((name, value) for name, value in values if value.__class__ is bool)

    @cached_property
    def _selects_attributes(self) -> bool:
        """Whether everything that is selected of the events is an attribute."""
        root = self.schema.subscription_type
        if root is None:
            return False
        fields, _, _ = collect_fields(
            self.schema, self.fragments, self.variable_values, root, self.operation, self.hide_suggestions
        )
        return all(self._has_attributes(root, details) for details in fields.values())

    def _has_attributes(self, root: GraphQLObjectType, details: FieldDetailsList) -> bool:
        field = self.schema.get_field(root, details[0].node.name.value)
        if field is None or self._planner is None:
            return False
        kinds = self._possible_types(get_named_type(field.type))
        completions = [
            self._planner.object(kind, details) if is_object_type(kind) else None for kind in kinds
        ]
        return all(completion is not None and completion.now is not None for completion in completions)

    def _possible_types(self, kind: GraphQLNamedType) -> Sequence[GraphQLNamedType]:
        return self.schema.get_possible_types(kind) if is_abstract_type(kind) else [kind]
