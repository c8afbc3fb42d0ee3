"""Errors as clients see them: as `userErrors` of a payload, or as errors of the operation, whose causes are masked."""

import logging
from typing import Any

import strawberry
from graphql import GraphQLError, ValueNode
from graphql.execution import ExecutionResult as CoreResult
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.utils.str_converters import to_camel_case

from domain.errors import INTERNAL_MESSAGE, DomainError, ErrorCode, RateLimited
from resolvers.context import Context
from schema.shared.enums import register_enum
from schema.shared.scalars import JSON

register_enum(
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
    def from_domain(cls, error: DomainError) -> "UserError":
        """The user error that a domain error becomes."""
        return cls(
            code=error.code,
            message=error.message,
            field=input_path(error),
            reason=error.reason,
            context=error.context or None,
        )


def input_path(error: DomainError) -> list[str] | None:
    """The path to the input field that an error is about, in camel case; None where it is about no field."""
    if error.field is None:
        return None
    return [to_camel_case(part) for name in error.field for part in name.split(".")]


logger = logging.getLogger(__name__)

EXTENSION_CODES = {
    ErrorCode.INVALID: "BAD_USER_INPUT",
    ErrorCode.UNAUTHENTICATED: "UNAUTHENTICATED",
    ErrorCode.FORBIDDEN: "FORBIDDEN",
    ErrorCode.NOT_FOUND: "NOT_FOUND",
    ErrorCode.CONFLICT: "CONFLICT",
    ErrorCode.LIMIT_EXCEEDED: "RATE_LIMITED",
    ErrorCode.UNAVAILABLE: "UNAVAILABLE",
}
"""`extensions.code` of each code of a domain error."""

MAX_MESSAGE_CHARACTERS = 1_000


def mask_errors(result: Any, context: object) -> None:
    """Replace the errors of a result by what `mask_error` makes of them."""
    if isinstance(result, (CoreResult, ExecutionResult)) and result.errors:
        request_id, suggest = "", True
        if isinstance(context, Context):
            request_id, suggest = context.request_id, context.viewer is not None
        result.errors = [mask_error(error, request_id, suggest=suggest) for error in result.errors]


def mask_error(error: GraphQLError, request_id: str, *, suggest: bool = True) -> GraphQLError:
    """The error as clients see it: with a code and the request's id. The message of an internal error is replaced.

    `suggest` is false for those who are signed out: suggestions would show them names of the schema.
    """
    if error.extensions and "requestId" in error.extensions:
        return error  # the last result of a stream comes here twice
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    extensions: dict[str, Any] = (
        {"code": "BAD_USER_INPUT"} | (error.extensions or {}) | {"requestId": request_id}
    )
    message = _shortened(error.message, suggest=suggest)
    if isinstance(cause, DomainError):
        extensions |= {
            "code": EXTENSION_CODES[cause.code],
            "reason": cause.reason,
            "field": input_path(cause),
        }
        message = cause.message
        if isinstance(cause, RateLimited):
            extensions |= cause.context
    elif (internal := _internal_error(error, cause)) is not None:
        extra = {"request_id": request_id, "path": error.path}
        logger.error("A GraphQL resolver failed.", exc_info=internal, extra=extra)
        extensions["code"], message = "INTERNAL", INTERNAL_MESSAGE
    return GraphQLError(
        message, error.nodes, error.source, error.positions, error.path, extensions=extensions
    )


def _internal_error(error: GraphQLError, cause: Exception | None) -> Exception | None:
    """The error to log: an exception that is no DomainError, or a resolver's value that its field may not have."""
    if cause is None:
        is_public = error.path is None or "code" in (error.extensions or {})
        return None if is_public or is_input_error(error) else error
    return None if isinstance(cause, CannotGetOperationTypeError) else cause


def is_input_error(error: GraphQLError) -> bool:
    """Whether an error is located at a value of the document, such as an argument whose variable may not be null.

    An error of a resolver is located at its field.
    """
    return any(isinstance(node, ValueNode) for node in error.nodes or ())


def _shortened(message: str, *, suggest: bool) -> str:
    """A message of graphql-core, which may quote a whole input value, and suggest other names."""
    text = message if suggest else message.partition(" Did you mean ")[0]
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else f"{text[:MAX_MESSAGE_CHARACTERS]}…"
