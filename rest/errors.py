"""Domain errors as HTTP responses."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

from domain.errors import DomainError, ErrorCode, RateLimited
from edge.bodies import UNCOMPRESSED_ONLY

STATUS: Mapping[ErrorCode, int] = {
    ErrorCode.INVALID: 400,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.LIMIT_EXCEEDED: 429,
    ErrorCode.UNAVAILABLE: 503,
}
REASON_STATUS: Mapping[str, int] = {
    "BODY_COMPRESSED": 415,
    "BODY_TOO_LARGE": 413,
    "FILE_TOO_LARGE": 413,
    "GGUF_AMBIGUOUS": 422,
    "GGUF_INVALID": 422,
    "GGUF_MISSING": 422,
    "PROJECT_FULL": 413,
    "TOO_MANY_FILES": 413,
    "UNPROCESSABLE": 422,
}
"""Reasons with a more specific status than their error code's."""


def status_of(error: DomainError) -> int:
    """The HTTP status of a domain error."""
    return REASON_STATUS.get(error.reason, STATUS[error.code])


def error_response(error: DomainError) -> JSONResponse:
    """A domain error as a response; with Retry-After for a rate limit, and Accept-Encoding for a compressed body."""
    response = refusal(status_of(error), error.reason, error.message, error.context)
    if isinstance(error, RateLimited):
        response.headers["Retry-After"] = str(error.retry_after)
    if error.reason == "BODY_COMPRESSED":
        response.headers.update(UNCOMPRESSED_ONLY)
    return response


def refusal(
    status: int, reason: str, detail: str, context: Mapping[str, object] | None = None
) -> JSONResponse:
    """A JSON body with `detail`, `error_code` and `context`."""
    headers = {"WWW-Authenticate": "Bearer"} if status == STATUS[ErrorCode.UNAUTHENTICATED] else None
    body = {"detail": detail, "error_code": reason, "context": dict(context or {})}
    return JSONResponse(body, status_code=status, headers=headers)
