"""Errors of the OpenAI protocol: `{"error": {"message", "type", "param", "code"}}`."""

from collections.abc import Mapping
from typing import Any

import orjson

from domain.errors import DomainError, ErrorCode, Unavailable
from domain.ports.model_runtime import NO_PLACE
from edge.event_streams import event

DOMAIN_ERRORS: Mapping[ErrorCode, tuple[int, str]] = {
    ErrorCode.UNAUTHENTICATED: (401, "invalid_api_key"),
    ErrorCode.FORBIDDEN: (403, "forbidden"),
    ErrorCode.NOT_FOUND: (404, "model_not_found"),
    ErrorCode.CONFLICT: (409, "conflict"),
    ErrorCode.LIMIT_EXCEEDED: (429, "rate_limit_exceeded"),
    ErrorCode.INVALID: (
        502,
        "model_unusable",
    ),  # request bodies are checked here, so only a model file can be invalid
    ErrorCode.UNAVAILABLE: (503, "unavailable"),
}
TYPES = {429: "rate_limit_error", 403: "permission_error"}
CODES = {404: "model_not_found", 429: "rate_limit_exceeded", 503: "unavailable"}
NO_RETRY: dict[str, str] = {"x-should-retry": "false"}
"""Where a generation may have run: OpenAI's clients would start it again."""
NOT_SUPPORTED = 501
"""llama.cpp's status for what a model or its server cannot do."""
CLIENT_FAULT_MARKERS = (
    "input is not supported",
    "Failed to parse messages",
    "Failed to parse tools",
    "Unknown reasoning format",
)
"""Of llama.cpp's messages with status 500, those that are about the request."""
MODEL_FAULT_MARKER = "The model produced output"
"""Of llama.cpp's messages with status 500, the one about an answer that is not of the required form."""
CONTEXT_LENGTH_MARKERS = ("exceed_context_size", "context length", "context size", "context_length_exceeded")


class OpenAIError(Exception):
    """A response with an error."""

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
        """The response's body."""
        return orjson.dumps({"error": self.error})

    @property
    def event(self) -> bytes:
        """The error as a server-sent event."""
        return event(None, self.body.decode()).encode()


def model_output_error(message: str) -> OpenAIError:
    """The error for an answer of the model that is not of the form that the request requires."""
    return OpenAIError(
        422, message, code="model_output_invalid", type="invalid_model_output", headers=NO_RETRY
    )


def from_runtime_error(error: Unavailable) -> OpenAIError:
    """The error where a model cannot be had: 503 where there is no place for it, else the model server is at fault."""
    if error.reason == NO_PLACE:
        return from_domain_error(error)
    return OpenAIError(502, error.message, code="upstream_down", headers={"retry-after": "1"})


def from_domain_error(error: DomainError) -> OpenAIError:
    """A domain error in the protocol."""
    status, code = DOMAIN_ERRORS[error.code]
    headers = NO_RETRY if status == 502 else {}
    if status in {429, 503}:
        headers = {"retry-after": str(error.context.get("retryAfter", 1))}
    param = "model" if status == 404 else None
    return OpenAIError(status, error.message, code=code, param=param, headers=headers)


def from_upstream(status: int, body: bytes, retry_after: str | None = None) -> OpenAIError:
    """The error response of a model server in the protocol, from any of the usual shapes of body."""
    error = _error_object(body)
    message = str(error.get("message") or "The model server could not answer.")
    if status in {401, 403} or status < 400:
        return _refused_error(status)
    if any(
        marker in f"{error.get('type')} {error.get('code')} {message}" for marker in CONTEXT_LENGTH_MARKERS
    ):
        return OpenAIError(400, _too_long(error) or message, code="context_length_exceeded", param="messages")
    if MODEL_FAULT_MARKER in message:
        return model_output_error("The model's answer is not of the form that the request requires.")
    if status == NOT_SUPPORTED or any(marker in message for marker in CLIENT_FAULT_MARKERS):
        return OpenAIError(400, message, code="unsupported_parameter")
    headers = NO_RETRY if status >= 500 and status != 503 else {}
    return OpenAIError(
        status,
        message,
        code=_text(error.get("code")) or CODES.get(status),
        param=_text(error.get("param")),
        type=_text(error.get("type")),
        headers=headers | ({"retry-after": retry_after} if retry_after else {}),
    )


def _too_long(error: Mapping[str, Any]) -> str | None:
    """How much too long a request is, where llama.cpp says it in numbers."""
    tokens, context = error.get("n_prompt_tokens"), error.get("n_ctx")
    if not (isinstance(tokens, int) and isinstance(context, int)):
        return None
    return f"The prompt has {tokens:,} tokens, and the model reads {context:,} with its answer: shorten it."


def _refused_error(status: int) -> OpenAIError:
    if status < 400:
        message = f"The model server answered with status {status}."
        return OpenAIError(502, message, code="upstream_error", headers=NO_RETRY)
    return OpenAIError(502, "The model server refused Luthier's own key.", code="upstream_refused")


def from_upstream_event(error: Any) -> OpenAIError:
    """An error that a model server sent as an event of a stream with status 200."""
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return from_upstream(status, orjson.dumps({"error": error}))


def message_of(error: Any) -> str:
    """The message of an error object or text."""
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def _error_object(body: bytes) -> dict[str, Any]:
    """OpenAI's `error` object, Ollama's `error` text, FastAPI's `detail`, or vLLM's bare object."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(value, dict):
        return {}
    error = value.get("error") or value.get("detail") or value
    return error if isinstance(error, dict) else {"message": message_of(error)}


def _text(value: Any) -> str | None:
    """A code that is text; a number only repeats the status."""
    return value if isinstance(value, str) else None
