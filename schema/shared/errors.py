"""Refusals and faults as clients see them: as user errors of a payload, or as errors of the operation."""

import logging
from typing import Any

import strawberry
from graphql import GraphQLError, ValueNode
from graphql.execution import ExecutionResult as CoreResult
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.utils.str_converters import to_camel_case

from domain.errors import DomainError, ErrorCode, RateLimited
from resolvers.context import Context
from schema.shared.enums import enumeration
from schema.shared.scalars import JSON

enumeration(
    ErrorCode,
    "Class of an error.",
    INVALID="The input breaks a validation rule.",
    UNAUTHENTICATED="The credentials are missing or wrong.",
    NOT_FOUND="The object does not exist or belongs to another user.",
    CONFLICT="The current state of the object does not allow the operation.",
    FORBIDDEN="The caller may read the object, but not perform the operation.",
    LIMIT_EXCEEDED="A limit on size, number or rate is exceeded.",
    UNAVAILABLE="A required service does not respond; the same call may succeed later.",
)


@strawberry.type(description="Why a mutation was refused, as data.")
class UserError:
    """A `DomainError` in a payload."""

    code: ErrorCode = strawberry.field(description="Class of the error.")
    message: str = strawberry.field(description="Explanation in one English sentence.")
    field: list[str] | None = strawberry.field(
        description="Path of the field inside `input` that is at fault; null when it is no single field."
    )
    reason: str = strawberry.field(
        description="Stable identifier of the error in UPPER_SNAKE case, such as "
        "`TRAINING_ALREADY_RUNNING`; over REST it is `error_code`."
    )
    context: JSON | None = strawberry.field(
        description="Details such as limits or ids, an object; null when there are none."
    )

    @classmethod
    def of(cls, error: DomainError) -> "UserError":
        """A refusal as the API shows it."""
        return cls(
            code=error.code,
            message=error.message,
            field=path(error),
            reason=error.reason,
            context=error.context or None,
        )


def path(error: DomainError) -> list[str] | None:
    """The path inside the input, in GraphQL's spelling."""
    if error.field is None:
        return None
    return [to_camel_case(part) for name in error.field for part in name.split(".")]


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


MAX_MESSAGE = 1_000
MASKED = "Something went wrong inside Luthier."


def clean_result(result: Any, context: object) -> None:
    """Make the errors of a result fit to be seen."""
    if isinstance(result, (CoreResult, ExecutionResult)) and result.errors:
        request_id, suggest = "", True
        if isinstance(context, Context):
            request_id, suggest = context.request_id, context.viewer is not None
        result.errors = [clean(error, request_id, suggest=suggest) for error in result.errors]


def clean(error: GraphQLError, request_id: str, *, suggest: bool = True) -> GraphQLError:
    """An error as clients see it: with a code and the request's id, and nothing that is not ours to tell.

    What the schema has is not told to those who are signed out, so they get no suggestions.
    """
    if error.extensions and "requestId" in error.extensions:
        return error  # a stream's last result is seen twice
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    extensions: dict[str, Any] = (
        {"code": "BAD_USER_INPUT"} | (error.extensions or {}) | {"requestId": request_id}
    )
    message = shown(error.message, suggest=suggest)
    if isinstance(cause, DomainError):
        extensions |= {"code": CODES[cause.code], "reason": cause.reason, "field": path(cause)}
        message = cause.message
        if isinstance(cause, RateLimited):
            extensions |= cause.context
    elif (fault := _fault(error, cause)) is not None:
        log.error("a resolver failed", exc_info=fault, extra={"request_id": request_id, "path": error.path})
        extensions["code"], message = "INTERNAL", MASKED
    return GraphQLError(
        message, error.nodes, error.source, error.positions, error.path, extensions=extensions
    )


def _fault(error: GraphQLError, cause: Exception | None) -> Exception | None:
    """What is our own fault: an error that nobody meant, or a value that a field's type does not allow."""
    if cause is None:
        is_told = error.path is None or "code" in (error.extensions or {})
        return None if is_told or is_of_input(error) else error
    return None if isinstance(cause, CannotGetOperationTypeError) else cause


def is_of_input(error: GraphQLError) -> bool:
    """Whether an error stands at a value of the document: an argument's, which its variable makes null, say.

    Those of a result stand at the field.
    """
    return any(isinstance(it, ValueNode) for it in error.nodes or ())


def shown(message: str, *, suggest: bool) -> str:
    """A sentence of graphql-core, which prints whole inputs and what else they could have been."""
    told = message if suggest else message.partition(" Did you mean ")[0]
    return told if len(told) <= MAX_MESSAGE else f"{told[:MAX_MESSAGE]}…"
