"""How an answer is put together fast: what is merely an attribute is read, without a resolver, `info` or path.

graphql-core asks of every single value whether it is an error, can be awaited, is null, and where it would be
reported, which takes most of the time of a long answer. Here a field's whole selection is looked at once per
operation: where everything below it is attributes, the values are read in one sweep. Whatever is not the expected
plain value (null where there must be something, an awaitable, an exception, a scalar out of its range) ends the sweep,
and graphql-core does the same field again from its start: errors, their order and their places are always its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import (
    FieldNode,
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
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE
from strawberry.types.field import StrawberryField

from schema.leaves import Finish, Unusual, leaf

Reader = tuple[str, Finish]
"""The attribute that a field is, and what is done with its value."""

DEFINITION = "strawberry-definition"
LISTS: frozenset[Any] = frozenset({list, tuple})


class FastExecutor(StrawberryGraphQLCoreExecutionContext):
    """Strawberry's executor, but for fields that are attributes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_wrapped = bool(self.middleware_manager and self.middleware_manager.middlewares)
        self.forget()

    def build_per_event_executor(self, payload: Any) -> Executor[Any]:
        """One for an event of a subscription; without what the events before it have left, which would add up."""
        executor = super().build_per_event_executor(payload)
        if isinstance(executor, FastExecutor):
            executor.forget()
        return executor

    def forget(self) -> None:
        """Start anew: what is known is kept by fields, which are others for every event."""
        self._relevant_sub_fields = {}
        self._readers: dict[tuple[GraphQLObjectType, int], tuple[FieldDetailsList, Reader | None]] = {}
        self._calls: dict[tuple[GraphQLObjectType, int], tuple[FieldDetailsList, Call | None]] = {}
        self._finishes: dict[tuple[GraphQLOutputType, int], tuple[FieldDetailsList, Finish | None]] = {}

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: FieldDetailsList,
        path: Path,
        position_context: Any,
    ) -> Any:
        """The field's answer, or an awaitable of it."""
        reader = self._reader(parent_type, field_details_list)
        if reader is not None:
            attribute, finish = reader
            try:
                return finish(getattr(source, attribute))
            except Exception:  # noqa: BLE001, S110 - whatever it was, it comes again where errors are located
                pass
        call = self._call(parent_type, field_details_list)
        if call is None:
            return super().execute_field(parent_type, source, field_details_list, path, position_context)
        return self._answer(call, parent_type, source, field_details_list, path)

    def _answer(
        self,
        call: "Call",
        parent_type: GraphQLObjectType,
        source: Any,
        details: FieldDetailsList,
        path: Path,
    ) -> Any:
        """What a resolver has for a field: as graphql-core does it, but for the arguments, which are known."""
        kind = call.field.type
        info = self.build_resolve_info(call.field, call.nodes, parent_type, path)
        try:
            result = call(source, info)
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
        finish = self._finish(return_type, field_details_list)
        if finish is not None:
            try:
                return finish(result)
            except Exception:  # noqa: BLE001, S110 - as above
                pass
        return super().complete_value(return_type, field_details_list, info, path, result, position_context)

    def _call(self, parent: GraphQLObjectType, details: FieldDetailsList) -> "Call | None":
        """How a field's resolver is called, None where only strawberry knows."""
        known = self._calls.get((parent, id(details)))
        if known is None:
            known = self._calls[parent, id(details)] = (details, self._find_call(parent, details))
        return known[1]

    def _find_call(self, parent: GraphQLObjectType, details: FieldDetailsList) -> "Call | None":
        field = self.schema.get_field(parent, details[0].node.name.value)
        definition = (field.extensions or {}).get(DEFINITION) if field else None
        if not field or not isinstance(definition, StrawberryField) or self._is_wrapped:
            return None
        try:
            given = self._arguments(field, definition, details)
        except Exception:  # noqa: BLE001 - it comes again where errors are located
            return None
        return call_of(field, definition, [it.node for it in details], given)

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

    def _reader(self, parent: GraphQLObjectType, details: FieldDetailsList) -> Reader | None:
        """How a field is read, None where it has a resolver, or something below it has."""
        known = self._readers.get((parent, id(details)))
        if known is None:
            # The list is kept with it, for as long as its `id` means it.
            known = self._readers[parent, id(details)] = (details, self._find_reader(parent, details))
        return known[1]

    def _find_reader(self, parent: GraphQLObjectType, details: FieldDetailsList) -> Reader | None:
        node = details[0].node
        field = self.schema.get_field(parent, node.name.value)
        if field is None or field.args or node.arguments or self._is_wrapped:
            return None
        if field is TypeNameMetaFieldDef:
            return "__class__", lambda _: parent.name
        attribute = _attribute(field)
        finish = self._finish(field.type, details) if attribute else None
        return (attribute, finish) if attribute and finish else None

    def _finish(self, kind: GraphQLOutputType, details: FieldDetailsList) -> Finish | None:
        """How a value of a type becomes what is sent, None where that takes a resolver."""
        known = self._finishes.get((kind, id(details)))
        if known is None:
            known = self._finishes[kind, id(details)] = (details, self._find_finish(kind, details))
        return known[1]

    def _find_finish(self, kind: GraphQLOutputType, details: FieldDetailsList) -> Finish | None:
        if self._is_wrapped:
            return None
        if is_non_null_type(kind):
            return self._required(kind.of_type, details)
        finish = self._required(kind, details)
        return finish and (lambda value: None if value is None else finish(value))

    def _required(self, kind: GraphQLOutputType, details: FieldDetailsList) -> Finish | None:
        if is_leaf_type(kind):
            return leaf(kind)
        if is_list_type(kind):
            item = self._finish(kind.of_type, details)
            return item and _list(item)
        return self._object(kind, details) if is_object_type(kind) else None

    def _object(self, kind: GraphQLObjectType, details: FieldDetailsList) -> Finish | None:
        classes = _classes(kind)
        try:
            fields, deferred, _ = self.collect_subfields(kind, details)
        except Exception:  # noqa: BLE001 - it comes again, should the field be reached at all
            return None
        readers = [(name, self._reader(kind, it)) for name, it in fields.items()]
        known = [(name, *reader) for name, reader in readers if reader is not None]
        if deferred or not classes or len(known) < len(readers):
            return None

        def finish(source: Any) -> dict[str, Any]:
            if source.__class__ not in classes or hasattr(source, TYPE_CAST_ATTRIBUTE):
                raise Unusual
            return {name: made(getattr(source, attribute)) for name, attribute, made in known}

        return finish


@dataclass(frozen=True, slots=True)
class Call:
    """A resolver with its arguments, which are the same for every object of a list."""

    field: GraphQLField
    nodes: list[FieldNode]
    definition: StrawberryField
    resolve: Callable[..., Any]
    arguments: dict[str, Any]
    takes_self: bool
    info: str | None

    def __call__(self, source: Any, info: GraphQLResolveInfo[Any]) -> Any:
        """What the resolver has."""
        named = self.arguments
        if self.info:
            named = {**named, self.info: strawberry.Info(_raw_info=info, _field=self.definition)}
        return self.resolve(source, **named) if self.takes_self else self.resolve(**named)


def call_of(
    field: GraphQLField, definition: StrawberryField, nodes: list[FieldNode], arguments: dict[str, Any]
) -> Call | None:
    """How a resolver is called; None for what strawberry does around one, or where it wants the parent by name."""
    found = definition.base_resolver
    if not found or definition.is_subscription or definition.extensions:
        return None
    if found.parent_parameter or found.root_parameter:
        return None
    info = found.info_parameter.name if found.info_parameter else None
    return Call(field, nodes, definition, found, arguments, bool(found.self_parameter), info)


def _attribute(field: GraphQLField) -> str | None:
    """The attribute that a field is; None where it is found in another way."""
    definition = (field.extensions or {}).get(DEFINITION)
    if not isinstance(definition, StrawberryField) or not definition.is_basic_field:
        return None
    return definition.python_name if definition.default_resolver is getattr else None


def _classes(kind: GraphQLObjectType) -> frozenset[type]:
    """The classes whose instances are certainly of a type; none where the type decides that by itself."""
    definition = (kind.extensions or {}).get(DEFINITION)
    if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of:
        return frozenset()
    generic = definition.concrete_of
    return frozenset({definition.origin, generic.origin} if generic else {definition.origin})


def _list(item: Finish) -> Finish:
    def finish(values: Any) -> list[Any]:
        if values.__class__ not in LISTS:
            raise Unusual
        return [item(value) for value in values]

    return finish
