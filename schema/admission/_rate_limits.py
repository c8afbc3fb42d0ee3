"""Rate limits on operations: all root fields of an operation are counted before any of them runs.

A mutation that signs in must be the only root field: a refusal by its own rate limit would make the other results null.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    OperationType,
    TypeNode,
    get_operation_ast,
    get_variable_values,
)
from graphql.execution.collect_fields import FragmentDetails, collect_fields
from strawberry.types import ExecutionContext
from strawberry.types.execution import PreExecutionError

from domain.errors import DomainError, Invalid
from domain.rate_limits import CallKind, RateLimitedCall, client_key
from resolvers.context import Context

MUTATION_KINDS: Mapping[str, CallKind] = {
    "initiateUpload": CallKind.UPLOADS,
    "createFinetune": CallKind.TRAIN,
    "cancelFinetune": CallKind.TRAIN,
}
"""The kind of call that a mutation is; any other is a write."""

SIGN_IN_MUTATIONS = ("login", "register")
UNCOUNTED_FIELD = "__typename"
"""A root field that costs nothing. `__schema` is counted: nothing else that needs no sign-in costs as much."""


async def rate_limit_error(operation: ExecutionContext) -> PreExecutionError | None:
    """Count an operation; the error where it exceeds a rate limit, or signs in beside other fields."""
    try:
        await _count(operation)
    except DomainError as error:
        operation.pre_execution_errors = [GraphQLError(error.message, original_error=error)]
        return PreExecutionError(data=None, errors=operation.pre_execution_errors)
    return None


async def _count(operation: ExecutionContext) -> None:
    """Count the calls of an operation; raises `Invalid` or `RateLimited`."""
    document, schema = operation.graphql_document, operation.schema._schema  # noqa: SLF001 - so does strawberry
    node = get_operation_ast(document, operation.operation_name) if document else None
    context = operation.context
    rate_limiter = context.services.rate_limiter if isinstance(context, Context) else None
    if (
        document is None
        or node is None
        or (rate_limiter is None and node.operation is not OperationType.MUTATION)
    ):
        return
    names = counted_fields(schema, document, node, operation.variables or {})
    _require_sign_in_alone(names)
    if rate_limiter is not None and names:
        key = client_key(context.viewer, context.address)
        counts = counts_by_kind(node.operation, names)
        await rate_limiter.hit([RateLimitedCall(kind, key, count) for kind, count in counts.items()])


def _require_sign_in_alone(names: Collection[str]) -> None:
    """Raise `Invalid` where an operation signs in and has other root fields.

    A sign-in that its own rate limit refuses would make the results of the others null.
    """
    sign_in = next((name for name in names if name in SIGN_IN_MUTATIONS), None)
    if sign_in is not None and len(names) > 1:
        message = f"`{sign_in}` must be the only field of its operation: send the others in another one."
        raise Invalid(message, reason="SIGN_IN_ALONE")


def counts_by_kind(operation: OperationType, names: Collection[str]) -> Mapping[CallKind, int]:
    """The number of calls of each kind among these root fields."""
    return Counter(_kind(operation, name) for name in names)


def counted_fields(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: dict[str, Any],
) -> Collection[str]:
    """The names of the root fields that run and are counted; a field with several aliases is named several times."""
    root = schema.get_root_type(operation.operation)
    # Only the arguments of @skip and @include decide which fields run, and those are Boolean.
    definitions = [
        definition for definition in operation.variable_definitions or () if _is_boolean(definition.type)
    ]
    values = get_variable_values(schema, definitions, variables)
    if root is None or isinstance(values, list):
        return ()  # a list is one of errors, with which nothing will run
    fragments = {
        definition.name.value: FragmentDetails(definition)
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    fields = collect_fields(schema, fragments, values, root, operation).grouped_field_set
    names = (details[0].node.name.value for details in fields.values())
    return [name for name in names if name != UNCOUNTED_FIELD]


def _is_boolean(type: TypeNode) -> bool:
    nullable = type.type if isinstance(type, NonNullTypeNode) else type
    return isinstance(nullable, NamedTypeNode) and nullable.name.value == "Boolean"


def _kind(operation: OperationType, name: str) -> CallKind:
    if operation is OperationType.MUTATION:
        return MUTATION_KINDS.get(name, CallKind.WRITES)
    return CallKind.READS
