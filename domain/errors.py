"""Every way a request can be refused. The edges decide how to say it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar


class ErrorCode(StrEnum):
    """The few kinds of refusal, as the API names them."""

    INVALID = "INVALID"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    FORBIDDEN = "FORBIDDEN"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"


class DomainError(Exception):
    """Something the caller can be told about.

    `message` is one sentence for a person, `reason` one UPPER_SNAKE word for a program, `field` the
    path inside the input that is at fault, `context` whatever facts help to mend it.
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
    """Nobody is signed in, or the credentials are wrong."""

    code = ErrorCode.UNAUTHENTICATED


class NotFound(DomainError):
    """No such thing, or not yours."""

    code = ErrorCode.NOT_FOUND


class Conflict(DomainError):
    """The thing is not in a state that allows this."""

    code = ErrorCode.CONFLICT


class Forbidden(DomainError):
    """You may see it, but not do this."""

    code = ErrorCode.FORBIDDEN


class LimitExceeded(DomainError):
    """Too large, too many, or too often."""

    code = ErrorCode.LIMIT_EXCEEDED


class RateLimited(LimitExceeded):
    """Too often: the same call will do in `retry_after` seconds. `kind` is what it was counted as."""

    def __init__(self, message: str, *, kind: str, retry_after: int) -> None:
        super().__init__(
            message, reason="RATE_LIMITED", context={"kind": str(kind), "retryAfter": retry_after}
        )
        self.retry_after = retry_after


class Unavailable(DomainError):
    """Something that this needs does not answer; the same call may work later."""

    code = ErrorCode.UNAVAILABLE


class SignInRequired(Unauthenticated):
    """The call needs a signed-in viewer; no input can mend that."""

    def __init__(self) -> None:
        super().__init__("Sign in first: send a valid bearer token.", reason="UNAUTHENTICATED")
