"""The executor: fields with a plan are completed column by column, others by graphql-core.

graphql-core checks of every single value whether it is an error, can be awaited, is null, and where it would be
reported, which takes most of the time of a long result; and each object of a list that has a resolver takes a task.
Here two overridden methods, `execute_field` and `complete_value`, execute the plan instead. A value that is not of the
expected class (null in a non-null field, an awaitable, an exception, a scalar out of its range) ends the attempt, and
graphql-core executes the same field from its start: errors, their order and their paths are always its own. A resolver
that only reads may then be called twice.

`build_per_event_executor` is overridden for subscriptions. `_resolve` calls a single resolver with the arguments that
were planned.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from graphql import GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo, Undefined
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from schema.execution._bound_resolver import BoundResolver
from schema.execution._columns import ColumnCompletion
from schema.execution._planner import Planner
from schema.execution._state import state_of


class ColumnExecutor(StrawberryGraphQLCoreExecutionContext):
    """Strawberry's executor, but for fields that have a plan."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        state = state_of(self.context_value)
        self._planner: Planner | None = None
        if not (
            self.middleware_manager and self.middleware_manager.middlewares
        ):  # middleware is called for every field
            self._planner = Planner(
                self.schema,
                self.operation,
                self.fragments,
                self.variable_values,
                self.hide_suggestions,
                {} if state is None else state.plans,
            )

    def build_per_event_executor(self, payload: Any) -> Executor[Any]:
        """The executor of a subscription's event; without the cache of the events before it, which would grow."""
        executor = super().build_per_event_executor(payload)
        if isinstance(executor, ColumnExecutor):
            executor._relevant_sub_fields = {}  # noqa: SLF001 - one of its own
        return executor

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: FieldDetailsList,
        path: Path,
        position_context: Any,
    ) -> Any:
        """The field's completed value, or an awaitable of it."""
        planner, resolver = self._planner, None
        if planner is not None:
            attribute = planner.attribute(parent_type, field_details_list)
            if attribute is not None and attribute.is_attribute:
                with suppress(Exception):  # graphql-core raises it again, and reports it
                    return attribute.complete_now([source])[0]
            resolver = planner.resolver(parent_type, field_details_list)
        if resolver is None:
            return super().execute_field(parent_type, source, field_details_list, path, position_context)
        return self._resolve(resolver, parent_type, source, field_details_list, path)

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """The completed value of a resolver's value, or an awaitable of it."""
        given = (return_type, field_details_list, info, path, result, position_context)
        planner = self._planner
        completion = None if planner is None else planner.completion(return_type, field_details_list)
        if completion is None or result is None or result is Undefined:
            return super().complete_value(*given)
        if completion.now is None:
            return self._completed(completion, *given)
        try:
            return completion.now([result])[0]
        except Exception:  # noqa: BLE001 - graphql-core raises it again, and reports it
            return super().complete_value(*given)

    async def _completed(self, completion: ColumnCompletion, *given: Any) -> Any:
        """The completed value where resolvers are called for it."""
        *_, result, _ = given
        try:
            return (await completion.complete([result], self._bind))[0]
        except Exception:  # noqa: BLE001 - graphql-core raises it again, and reports it
            completed = super().complete_value(*given)
        return await completed if self.is_awaitable(completed) else completed

    def _bind(self, resolver: BoundResolver) -> Callable[[Any], Any]:
        """Bind a resolver for many objects, which have no path of their own."""
        no_path: Any = None
        return resolver.bind(
            self.build_resolve_info(resolver.field, resolver.nodes, resolver.parent, no_path)
        )

    def _resolve(
        self,
        resolver: BoundResolver,
        parent_type: GraphQLObjectType,
        source: Any,
        details: FieldDetailsList,
        path: Path,
    ) -> Any:
        """Resolve and complete a field: as graphql-core does it, but for the arguments, which are planned."""
        kind = resolver.field.type
        info = self.build_resolve_info(resolver.field, resolver.nodes, parent_type, path)
        try:
            result = resolver.bind(info)(source)
            if self.is_awaitable(result):
                return self.complete_awaitable_value(kind, details, info, path, result, None)
            completed = self.complete_value(kind, details, info, path, result, None)
        except Exception as error:  # noqa: BLE001 - whatever a resolver raises is reported
            self.handle_field_error(error, kind, details, path)
            return None
        return self._awaited(completed, kind, details, path) if self.is_awaitable(completed) else completed

    async def _awaited(
        self, completed: Any, kind: GraphQLOutputType, details: FieldDetailsList, path: Path
    ) -> Any:
        try:
            return await completed
        except Exception as error:  # noqa: BLE001 - whatever a resolver raises is reported
            self.handle_field_error(error, kind, details, path)
            return None
