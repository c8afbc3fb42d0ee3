"""An event that many are told is put together once for all who ask the same of it.

Shared is only what cannot differ: where all that is asked for is attributes of the event, without a resolver, an
argument or an error. Whether somebody may follow at all was decided before, where the stream of events began.
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

from schema.execution._executor import FastExecutor
from schema.http._responses import json

MOST = 4
"""Selections whose answers an event keeps: they are as large as it is."""
Selection = tuple[int, tuple[tuple[str, bool], ...]]
"""An operation, by its identity, and the variables that `@skip` and `@include` can be told."""


class Shareable:
    """An event that never changes, of which everybody is given the same object."""

    @cached_property
    def answers(self) -> dict[Selection, "Answer"]:
        """What selections made of it."""
        return {}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an event, ready. It keeps the operation, so that its identity goes on meaning it."""

    operation: OperationDefinitionNode
    result: ExecutionResult

    def execute_operation(self, serially: bool | None = None) -> ExecutionResult:  # noqa: ARG002 - as graphql-core's
        """What had come out."""
        return self.result


class SharingExecutor(FastExecutor):
    """The fast executor, whose subscriptions share their answers."""

    def build_per_event_executor(self, payload: Any) -> Executor[Any]:
        """One for an event of a subscription; or what others made of the same event, in its place."""
        if not isinstance(payload, Shareable):
            return super().build_per_event_executor(payload)
        answer = payload.answers.get(self._selection) or self._answer_for_all(payload)
        return answer or super().build_per_event_executor(payload)  # type: ignore[return-value]  # it executes, too

    def _answer_for_all(self, event: Shareable) -> Answer | None:
        """None where it may be another for somebody else, or is an error."""
        if not self._is_plain:
            return None
        result = super().build_per_event_executor(event).execute_operation(serially=False)
        if not isinstance(result, ExecutionResult) or result.errors:
            return None
        if len(event.answers) >= MOST:
            event.answers.clear()
        encoded: Any = orjson.Fragment(json(result.data))
        answer = event.answers[self._selection] = Answer(self.operation, ExecutionResult(encoded))
        return answer

    @cached_property
    def _selection(self) -> Selection:
        values = self.variable_values.coerced.items()
        return id(self.operation), tuple((name, value) for name, value in values if value.__class__ is bool)

    @cached_property
    def _is_plain(self) -> bool:
        """Whether everything that is asked of the events is an attribute."""
        root = self.schema.subscription_type
        if root is None:
            return False
        fields, _, _ = collect_fields(
            self.schema, self.fragments, self.variable_values, root, self.operation, self.hide_suggestions
        )
        return all(self._has_plain_events(root, details) for details in fields.values())

    def _has_plain_events(self, root: GraphQLObjectType, details: FieldDetailsList) -> bool:
        field = self.schema.get_field(root, details[0].node.name.value)
        if field is None:
            return False
        kinds = self._kinds(get_named_type(field.type))
        columns = [self._object(kind, details) if is_object_type(kind) else None for kind in kinds]
        return all(it is not None and it.finish is not None for it in columns)

    def _kinds(self, kind: GraphQLNamedType) -> Sequence[GraphQLNamedType]:
        """The types that a value of a type may have."""
        return self.schema.get_possible_types(kind) if is_abstract_type(kind) else [kind]
