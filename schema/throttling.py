"""Rate limits on operations: all root fields of one are counted before any of them runs."""

from collections import Counter
from collections.abc import Mapping
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

from domain.errors import RateLimited
from domain.rates import Asked, Kind, caller
from resolvers.context import Context

KINDS: Mapping[str, Kind] = {
    "initiateUpload": Kind.UPLOADS,
    "generateChunks": Kind.GENERATE,
    "previewDataset": Kind.GENERATE,
    "generateDataset": Kind.GENERATE,
    "analyzePrompt": Kind.GENERATE,
    "createFinetune": Kind.TRAIN,
    "cancelFinetune": Kind.TRAIN,
    "resumeFinetune": Kind.TRAIN,
}
"""The mutations that are more than a write."""


async def throttled(operation: ExecutionContext) -> PreExecutionError | None:
    """The refusal of an operation that was let in but exceeds a limit; else it is counted."""
    context = operation.context
    rates = context.services.rates if isinstance(context, Context) else None
    if rates is None:
        return None
    asked = _asked(operation, caller(context.viewer, context.address))
    try:
        if asked:
            await rates.take(asked)
    except RateLimited as error:
        operation.pre_execution_errors = [GraphQLError(error.message, original_error=error)]
        return PreExecutionError(data=None, errors=operation.pre_execution_errors)
    return None


def _asked(operation: ExecutionContext, who: str) -> list[Asked]:
    document, schema = operation.graphql_document, operation.schema._schema  # noqa: SLF001 - the stock view reads it too
    meant = get_operation_ast(document, operation.operation_name) if document else None
    if document is None or meant is None:
        return []
    made = calls(schema, document, meant, operation.variables or {})
    return [Asked(kind, who, count) for kind, count in made.items()]


def calls(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: dict[str, Any],
) -> Mapping[Kind, int]:
    """How many calls of each kind an operation makes: one for each root field that runs, under any alias."""
    root = schema.get_root_type(operation.operation)
    # Only what stands in @skip and @include decides which fields run, and that is Boolean.
    switches = [it for it in operation.variable_definitions or () if _is_boolean(it.type)]
    values = get_variable_values(schema, switches, variables)
    if root is None or isinstance(values, list):
        return {}  # these are errors, so nothing will run
    fragments = {
        it.name.value: FragmentDetails(it)
        for it in document.definitions
        if isinstance(it, FragmentDefinitionNode)
    }
    fields = collect_fields(schema, fragments, values, root, operation).grouped_field_set
    names = (details[0].node.name.value for details in fields.values())
    return Counter(_kind(operation.operation, name) for name in names if not name.startswith("__"))


def _is_boolean(type: TypeNode) -> bool:
    inner = type.type if isinstance(type, NonNullTypeNode) else type
    return isinstance(inner, NamedTypeNode) and inner.name.value == "Boolean"


def _kind(operation: OperationType, name: str) -> Kind:
    return KINDS.get(name, Kind.WRITES) if operation is OperationType.MUTATION else Kind.READS
