"""How an answer is put together fast: field by field for all objects of a list, and not object by object.

graphql-core asks of every single value whether it is an error, can be awaited, is null, and where it would be
reported, which takes most of the time of a long answer; and each object of a list that has a resolver takes a task.
Here a field's whole selection is looked at once per operation, and its values are read in columns. Whatever is not the
expected plain value (null where there must be something, an awaitable, an exception, a scalar out of its range) ends
the sweep, and graphql-core does the same field again from its start: errors, their order and their places are always
its own. Resolvers that only read may be asked twice, then.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    TypeNameMetaFieldDef,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetailsList
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path
from strawberry.schema.base import BaseSchema
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.arguments import convert_arguments
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from resolvers.context import Context
from schema.execution._bound_resolver import DEFINITION, Call, call_of, definition_of
from schema.execution._columns import Column, Field, attribute, instances, listed, nullable, objects
from schema.execution._eager import Started
from schema.execution._leaves import Values, leaf

T = TypeVar("T")
Plan = dict[Any, Any]


class FastExecutor(StrawberryGraphQLCoreExecutionContext):
    """Strawberry's executor, but for fields whose values can be read in columns."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_wrapped = bool(self.middleware_manager and self.middleware_manager.middlewares)
        context = self.context_value
        # What is found about fields. Their nodes are told apart by `id`: the document is kept as long as this is.
        self._plan: Plan = context.plan if isinstance(context, Context) and not self._is_wrapped else {}

    def build_per_event_executor(self, payload: Any) -> Executor[Any]:
        """One for an event of a subscription; without what the events before it have left, which would add up."""
        executor = super().build_per_event_executor(payload)
        if isinstance(executor, FastExecutor):
            executor._relevant_sub_fields = {}  # noqa: SLF001 - one of its own
        return executor

    def _once(
        self, find: Callable[[Any, FieldDetailsList], T], kind: GraphQLOutputType, details: FieldDetailsList
    ) -> T:
        """What is found about a field, of a type or as one; it is looked for once."""
        nodes = id(details[0].node) if len(details) == 1 else tuple(id(it.node) for it in details)
        key = (find.__name__, kind, nodes)
        try:
            return self._plan[key]
        except KeyError:
            found = self._plan[key] = find(kind, details)
            return found

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: FieldDetailsList,
        path: Path,
        position_context: Any,
    ) -> Any:
        """The field's answer, or an awaitable of it."""
        field = self._once(self._attribute, parent_type, field_details_list)
        if field is not None and not field.is_later:
            try:
                return field.finished([source])[0]
            except Exception:  # noqa: BLE001, S110 - whatever it was, it comes again where errors are located
                pass
        call = self._once(self._call, parent_type, field_details_list)
        if call is None:
            return super().execute_field(parent_type, source, field_details_list, path, position_context)
        return self._answer(call, parent_type, source, field_details_list, path)

    def _answer(
        self, call: Call, parent_type: GraphQLObjectType, source: Any, details: FieldDetailsList, path: Path
    ) -> Any:
        """What a resolver has for a field: as graphql-core does it, but for the arguments, which are known."""
        kind = call.field.type
        info = self.build_resolve_info(call.field, call.nodes, parent_type, path)
        try:
            result = call.of(info)(source)
            if self.is_awaitable(result):
                return self.complete_awaitable_value(kind, details, info, path, result, None)
            completed = self.complete_value(kind, details, info, path, result, None)
        except Exception as error:  # noqa: BLE001 - whatever a resolver raises is told
            self.handle_field_error(error, kind, details, path)
            return None
        return self._awaited(completed, kind, details, path) if self.is_awaitable(completed) else completed

    async def _awaited(
        self, completed: Any, kind: GraphQLOutputType, details: FieldDetailsList, path: Path
    ) -> Any:
        try:
            return await completed
        except Exception as error:  # noqa: BLE001 - as above
            self.handle_field_error(error, kind, details, path)
            return None

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """What a resolver's value becomes in the answer."""
        column = self._once(self._column, return_type, field_details_list)
        given = (return_type, field_details_list, info, path, result, position_context)
        if column is None:
            return super().complete_value(*given)
        try:
            done = column.done([result], self._asked)
            if column.finish is None:
                done = Started(done)
                if not done.is_over:
                    return self._swept(done, *given)
                done = done.result()
            return done[0]
        except Exception:  # noqa: BLE001 - as above
            return super().complete_value(*given)

    async def _swept(self, sweep: Started[Values], *given: Any) -> Any:
        """The same where it waits for what resolvers want."""
        try:
            return (await sweep)[0]
        except Exception:  # noqa: BLE001 - as above
            completed = super().complete_value(*given)
        return await completed if self.is_awaitable(completed) else completed

    def _call(self, parent: GraphQLObjectType, details: FieldDetailsList) -> Call | None:
        """How a field's resolver is called, None where only strawberry knows."""
        field = self.schema.get_field(parent, details[0].node.name.value)
        definition = definition_of(field)
        if not field or not definition or self._is_wrapped:
            return None
        try:
            given = self._arguments(field, definition, details)
        except Exception:  # noqa: BLE001 - it comes again where errors are located
            return None
        return call_of(parent, field, definition, [it.node for it in details], given)

    def _arguments(
        self, field: GraphQLField, definition: StrawberryField, details: FieldDetailsList
    ) -> dict[str, Any]:
        """A field's arguments as its resolver takes them."""
        first = details[0]
        raw = get_argument_values(
            field, first.node, self.variable_values, first.fragment_variable_values, self.hide_suggestions
        )
        whole: BaseSchema = self.schema.extensions[DEFINITION]
        registry = whole.schema_converter.scalar_registry
        return convert_arguments(raw, definition.arguments, registry, whole.config)

    def _field(self, parent: GraphQLObjectType, details: FieldDetailsList) -> Field | None:
        """How a field of many objects is answered, None where only graphql-core knows."""
        return self._attribute(parent, details) or self._resolved(parent, details)

    def _attribute(self, parent: GraphQLObjectType, details: FieldDetailsList) -> Field | None:
        """The same where it is an attribute."""
        node = details[0].node
        field = self.schema.get_field(parent, node.name.value)
        if field is None or field.args or node.arguments or self._is_wrapped:
            return None
        if field is TypeNameMetaFieldDef:
            return Field(AS_IT_IS, lambda sources: [parent.name] * len(sources))
        definition = definition_of(field)
        if not definition or not definition.is_basic_field or definition.default_resolver is not getattr:
            return None
        column = self._once(self._column, field.type, details)
        return None if column is None else Field(column, attribute(definition.python_name))

    def _resolved(self, parent: GraphQLObjectType, details: FieldDetailsList) -> Field | None:
        """The same where it is what a resolver has."""
        call = self._once(self._call, parent, details)
        if call is None or call.takes_a_task:
            return None
        column = self._once(self._column, call.field.type, details)
        if column is None:
            return None
        return Field(column, None, call)

    def _asked(self, call: Call) -> Callable[[Any], Any]:
        """How a resolver is called for many objects, none of which has a place in the answer of its own."""
        nowhere: Any = None
        return call.of(self.build_resolve_info(call.field, call.nodes, call.parent, nowhere))

    def _column(self, kind: GraphQLOutputType, details: FieldDetailsList) -> Column | None:
        """How values of a type become what is sent, None where only graphql-core knows."""
        if self._is_wrapped:
            return None
        if is_non_null_type(kind):
            return self._required(kind.of_type, details)
        column = self._required(kind, details)
        return column and nullable(column)

    def _required(self, kind: GraphQLOutputType, details: FieldDetailsList) -> Column | None:
        if is_leaf_type(kind):
            return Column(leaf(kind))
        if is_list_type(kind):
            item = self._once(self._column, kind.of_type, details)
            return item and listed(item)
        return self._object(kind, details) if is_object_type(kind) else None

    def _object(self, kind: GraphQLObjectType, details: FieldDetailsList) -> Column | None:
        classes = _classes(kind)
        try:
            selected, deferred, _ = self.collect_subfields(kind, details)
        except Exception:  # noqa: BLE001 - it comes again, should the field be reached at all
            return None
        if deferred or not classes:
            return None
        fields = {name: self._once(self._field, kind, it) for name, it in selected.items()}
        known = {name: it for name, it in fields.items() if it is not None}
        if len(known) < len(fields):
            return None
        return objects(instances(classes), known)


AS_IT_IS = Column(lambda values: values)


def _classes(kind: GraphQLObjectType) -> frozenset[type]:
    """The classes whose instances are certainly of a type; none where the type decides that by itself."""
    definition = (kind.extensions or {}).get(DEFINITION)
    if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of:
        return frozenset()
    generic = definition.concrete_of
    return frozenset({definition.origin, generic.origin} if generic else {definition.origin})
