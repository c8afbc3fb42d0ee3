"""Errors that callers can act on. `schema/` and `rest/` translate them to their protocols."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar

INTERNAL_MESSAGE = "Something went wrong inside Luthier."
"""All that a client is told of an unexpected error; the log has the rest."""


class ErrorCode(StrEnum):
    """Code of a domain error, as GraphQL's user errors have it."""

    INVALID = "INVALID"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    FORBIDDEN = "FORBIDDEN"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"


class DomainError(Exception):
    """An error that is shown to the caller.

    `message` is one sentence for a person, `reason` an UPPER_SNAKE identifier for a program, `field` the
    path of the wrong value inside the input, `context` further facts about the error.
    """

    code: ClassVar[ErrorCode]

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        field: str | Sequence[str] | None = None,
        context: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.code.value
        self.field = [field] if isinstance(field, str) else list(field) if field else None
        self.context = context or {}


class Invalid(DomainError):
    """The input breaks a rule."""

    code = ErrorCode.INVALID


class Unauthenticated(DomainError):
    """The caller is not signed in, or the credentials are wrong."""

    code = ErrorCode.UNAUTHENTICATED


class NotFound(DomainError):
    """There is no such object, or the viewer may not see it."""

    code = ErrorCode.NOT_FOUND


class Conflict(DomainError):
    """The object is in a state that does not allow the operation."""

    code = ErrorCode.CONFLICT


class Forbidden(DomainError):
    """The viewer may see the object, but not do this to it."""

    code = ErrorCode.FORBIDDEN


class LimitExceeded(DomainError):
    """A size, a number or a rate exceeds its limit."""

    code = ErrorCode.LIMIT_EXCEEDED


class RateLimited(LimitExceeded):
    """A rate limit is exceeded; the same call is allowed in `retry_after` seconds. `kind` is the `CallKind`."""

    def __init__(self, message: str, *, kind: str, retry_after: int) -> None:
        super().__init__(
            message, reason="RATE_LIMITED", context={"kind": str(kind), "retryAfter": retry_after}
        )
        self.retry_after = retry_after


class Unavailable(DomainError):
    """A service that the operation needs does not answer; the same call may work later."""

    code = ErrorCode.UNAVAILABLE


class SignInRequired(Unauthenticated):
    """The call needs a signed-in viewer."""

    def __init__(self) -> None:
        super().__init__("Sign in first: send a valid bearer token.", reason="UNAUTHENTICATED")
