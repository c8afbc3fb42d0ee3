"""Refusals as OpenAI's clients read them: `{"error": {"message", "type", "param", "code"}}`."""

from collections.abc import Mapping
from typing import Any

import orjson

from domain.errors import DomainError, ErrorCode

REFUSALS: Mapping[ErrorCode, tuple[int, str]] = {
    ErrorCode.UNAUTHENTICATED: (401, "invalid_api_key"),
    ErrorCode.FORBIDDEN: (403, "forbidden"),
    ErrorCode.NOT_FOUND: (404, "model_not_found"),
    ErrorCode.CONFLICT: (409, "conflict"),
    ErrorCode.LIMIT_EXCEEDED: (429, "rate_limit_exceeded"),
    ErrorCode.INVALID: (502, "model_unusable"),  # the body is judged here: there only a model can be invalid
    ErrorCode.UNAVAILABLE: (503, "unavailable"),
}
TYPES = {429: "rate_limit_error", 403: "permission_error"}
CODES = {404: "model_not_found", 429: "rate_limit_exceeded", 503: "unavailable"}
NO_RETRY: dict[str, str] = {"x-should-retry": "false"}
"""Told to clients once a generation may have run: it would run, and cost, again."""
TOO_LONG = ("exceed_context_size", "context length", "context size", "context_length_exceeded")


class OpenAIError(Exception):
    """An answer that is not the model's."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        kind = type or TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
        self.error = {"message": message, "type": kind, "param": param, "code": code}

    @property
    def body(self) -> bytes:
        """The whole answer."""
        return orjson.dumps({"error": self.error})

    @property
    def event(self) -> bytes:
        """The same in the midst of a stream."""
        return b"data: " + self.body + b"\n\n"


def of_domain(error: DomainError) -> OpenAIError:
    """What the rest of Luthier refused."""
    status, code = REFUSALS[error.code]
    headers = NO_RETRY if status == 502 else {}
    if status in {429, 503}:
        headers = {"retry-after": str(error.context.get("retryAfter", 1))}
    param = "model" if status == 404 else None
    return OpenAIError(status, error.message, code=code, param=param, headers=headers)


def of_upstream(status: int, body: bytes, retry_after: str | None = None) -> OpenAIError:
    """What the model server refused, whichever of the usual shapes it said that in."""
    said = _said(body)
    message = str(said.get("message") or "The model server could not answer.")
    if status in {401, 403}:
        return OpenAIError(502, "The model server refused Luthier's own key.", code="upstream_refused")
    if any(sign in f"{said.get('type')} {said.get('code')} {message}" for sign in TOO_LONG):
        return OpenAIError(400, message, code="context_length_exceeded", param="messages")
    headers = NO_RETRY if status >= 500 and status != 503 else {}
    return OpenAIError(
        status,
        message,
        code=_text(said.get("code")) or CODES.get(status),
        param=_text(said.get("param")),
        type=_text(said.get("type")),
        headers=headers | ({"retry-after": retry_after} if retry_after else {}),
    )


def of_event(error: Any) -> OpenAIError:
    """An error that a model server sent as the first event of a stream, inside of a 200."""
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return of_upstream(status, orjson.dumps({"error": error}))


def message_of(error: Any) -> str:
    """The sentence inside an error, in whatever shape."""
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def _said(body: bytes) -> dict[str, Any]:
    """OpenAI's `error` object, Ollama's `error` text, FastAPI's `detail`, or vLLM's bare object."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(answer, dict):
        return {}
    error = answer.get("error") or answer.get("detail") or answer
    return error if isinstance(error, dict) else {"message": message_of(error)}


def _text(value: Any) -> str | None:
    """A code as text; a number is only the status once more."""
    return value if isinstance(value, str) else None
