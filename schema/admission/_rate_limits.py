"""Rate limits on operations: all root fields of one are counted before any of them runs, so sign-ins stand alone."""

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

KINDS: Mapping[str, CallKind] = {
    "initiateUpload": CallKind.UPLOADS,
    "generateChunks": CallKind.GENERATE,
    "previewDataset": CallKind.GENERATE,
    "generateDataset": CallKind.GENERATE,
    "analyzePrompt": CallKind.GENERATE,
    "createFinetune": CallKind.TRAIN,
    "cancelFinetune": CallKind.TRAIN,
    "resumeFinetune": CallKind.TRAIN,
}
"""The mutations that are more than a write."""


SIGN_INS = ("login", "register")
"""What changes who asks."""
FREE = "__typename"
"""What costs nothing; `__schema` is the dearest thing that anyone may ask for."""


async def rate_limit_error(operation: ExecutionContext) -> PreExecutionError | None:
    """The refusal of an operation that was let in but may not run as it is, or exceeds a limit; else it is counted."""
    try:
        await _count(operation)
    except DomainError as error:
        operation.pre_execution_errors = [GraphQLError(error.message, original_error=error)]
        return PreExecutionError(data=None, errors=operation.pre_execution_errors)
    return None


async def _count(operation: ExecutionContext) -> None:
    """Count what an operation calls; raises `Invalid` or `RateLimited`."""
    document, schema = operation.graphql_document, operation.schema._schema  # noqa: SLF001 - the stock view reads it too
    meant = get_operation_ast(document, operation.operation_name) if document else None
    context = operation.context
    rates = context.services.rates if isinstance(context, Context) else None
    if document is None or meant is None or (rates is None and meant.operation is not OperationType.MUTATION):
        return
    names = fields(schema, document, meant, operation.variables or {})
    _require_alone(names)
    if rates is not None and names:
        key = client_key(context.viewer, context.address)
        await rates.hit(
            [RateLimitedCall(kind, key, count) for kind, count in calls(meant.operation, names).items()]
        )


def _require_alone(names: Collection[str]) -> None:
    """Raise `Invalid` where signing in is not all that is done.

    What came after it would run as a user on whom nothing was counted, and a sign-in that is refused would
    take the answers of the others with it.
    """
    found = next((it for it in names if it in SIGN_INS), None)
    if found is not None and len(names) > 1:
        message = f"`{found}` must be the only field of its operation: send the others in another one."
        raise Invalid(message, reason="SIGN_IN_ALONE")


def calls(operation: OperationType, names: Collection[str]) -> Mapping[CallKind, int]:
    """How many calls of each kind the root fields of an operation are."""
    return Counter(_kind(operation, name) for name in names)


def fields(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: dict[str, Any],
) -> Collection[str]:
    """The name of each root field that runs and is not free, as often as it has aliases."""
    root = schema.get_root_type(operation.operation)
    # Only what stands in @skip and @include decides which fields run, and that is Boolean.
    switches = [it for it in operation.variable_definitions or () if _is_boolean(it.type)]
    values = get_variable_values(schema, switches, variables)
    if root is None or isinstance(values, list):
        return ()  # these are errors, so nothing will run
    fragments = {
        it.name.value: FragmentDetails(it)
        for it in document.definitions
        if isinstance(it, FragmentDefinitionNode)
    }
    found = collect_fields(schema, fragments, values, root, operation).grouped_field_set
    names = (details[0].node.name.value for details in found.values())
    return [name for name in names if name != FREE]


def _is_boolean(type: TypeNode) -> bool:
    inner = type.type if isinstance(type, NonNullTypeNode) else type
    return isinstance(inner, NamedTypeNode) and inner.name.value == "Boolean"


def _kind(operation: OperationType, name: str) -> CallKind:
    return KINDS.get(name, CallKind.WRITES) if operation is OperationType.MUTATION else CallKind.READS
