"""What holds for every operation: its own loaders, and errors that say nothing of our inside."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any

from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, OperationType, parse
from graphql.execution import ExecutionResult as CoreResult
from strawberry.extensions import SchemaExtension
from strawberry.types.execution import ExecutionResult

from domain.errors import DomainError, ErrorCode
from resolvers.context import Context
from schema.errors import path

log = logging.getLogger(__name__)

CODES = {
    ErrorCode.INVALID: "BAD_USER_INPUT",
    ErrorCode.UNAUTHENTICATED: "UNAUTHENTICATED",
    ErrorCode.FORBIDDEN: "FORBIDDEN",
    ErrorCode.NOT_FOUND: "NOT_FOUND",
    ErrorCode.CONFLICT: "CONFLICT",
    ErrorCode.LIMIT_EXCEEDED: "RATE_LIMITED",
    ErrorCode.UNAVAILABLE: "UNAVAILABLE",
}
"""`extensions.code` of each kind of refusal."""

MASKED = "Something went wrong inside Luthier."


@lru_cache(maxsize=512)
def _parsed(query: str) -> DocumentNode:
    return parse(query)


class Documents(SchemaExtension):
    """Parses each document once, and knows which of its operations is meant."""

    def on_parse(self) -> Iterator[None]:
        """Take a document that was parsed before; what is none is left to strawberry, which says why."""
        context = self.execution_context
        with suppress(GraphQLError):
            context.graphql_document = _parsed(context.query or "")
        yield

    def on_validate(self) -> Iterator[None]:
        """Of several operations one must be named (GraphQL, October 2021, 6.1)."""
        context = self.execution_context
        definitions = context.graphql_document.definitions if context.graphql_document else ()
        operations = [it for it in definitions if isinstance(it, OperationDefinitionNode)]
        if len(operations) > 1 and context._provided_operation_name is None:  # noqa: SLF001 - the other guesses
            message = "Must provide operation name if query contains multiple operations."
            context.pre_execution_errors = [GraphQLError(message)]
        elif _is_subscription(operations) and not self._streams():
            context.pre_execution_errors = [GraphQLError(HOW_TO_SUBSCRIBE)]
        yield

    def _streams(self) -> bool:
        context = self.execution_context.context
        return not isinstance(context, Context) or context.streams


HOW_TO_SUBSCRIBE = (
    "A subscription is streamed: send the header `Accept: text/event-stream`, "
    "or use a WebSocket with the protocol graphql-transport-ws."
)


def _is_subscription(operations: list[OperationDefinitionNode]) -> bool:
    return any(it.operation is OperationType.SUBSCRIPTION for it in operations)


class Operation(SchemaExtension):
    """One operation, over HTTP or one of many on a WebSocket."""

    def on_operation(self) -> Iterator[None]:
        """Give it loaders of its own; afterwards make its errors fit to be seen."""
        context = self.execution_context.context
        if isinstance(context, Context):
            self.execution_context.context = replace(context, loaders={})
        yield
        self._clean(self.execution_context.result)

    def on_stream_result(self, result: Any) -> Iterator[None]:
        """The same for each result of a subscription, before it is sent."""
        self._clean(result)
        yield

    def _clean(self, result: Any) -> None:
        if isinstance(result, (CoreResult, ExecutionResult)) and result.errors:
            context = self.execution_context.context
            request_id = context.request_id if isinstance(context, Context) else ""
            result.errors = [clean(error, request_id) for error in result.errors]


def clean(error: GraphQLError, request_id: str) -> GraphQLError:
    """An error as clients see it: with a code and the request's id, and nothing that is not ours to tell."""
    if error.extensions and "requestId" in error.extensions:
        return error  # a stream's last result is seen twice
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    extensions: dict[str, Any] = {"code": "BAD_USER_INPUT", "requestId": request_id}
    message = error.message
    if isinstance(cause, DomainError):
        extensions |= {"code": CODES[cause.code], "reason": cause.reason, "field": path(cause)}
        message = cause.message
    elif cause is not None:
        log.error("a resolver failed", exc_info=cause, extra={"request_id": request_id, "path": error.path})
        extensions["code"], message = "INTERNAL", MASKED
    return GraphQLError(
        message, error.nodes, error.source, error.positions, error.path, extensions=extensions
    )
