"""One request to a deployment and its response, and their row in the log."""

from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter

from domain.ports.gateway import Route
from domain.request_logs import RequestLog
from rest.gateway._client import ResponseWriter
from rest.gateway._errors import OpenAIError, message_of
from rest.gateway._records import CompletionRecord
from rest.gateway._requests import GatewayRequest

CLIENT_CLOSED = 499
"""The logged status where the client disconnected before the response started."""


@dataclass(slots=True)
class Exchange:
    """A request to a deployment and what is logged of its response. `started_at` is of `perf_counter`."""

    route: Route
    request: GatewayRequest
    response: ResponseWriter
    started_at: float
    date: datetime
    record: CompletionRecord = field(default_factory=CompletionRecord)
    status: int = 200
    first_token_at: float | None = None

    def set_error(self, error: OpenAIError) -> None:
        """Log the request as failed."""
        self.record.error = error.error
        self.record.finish = "error"
        self.status = 200 if self.response.started else error.status

    def set_disconnected(self) -> None:
        """Log that the client disconnected."""
        self.record.finish = "client_disconnect"
        self.status = 200 if self.response.started else CLIENT_CLOSED

    def check_first_token(self) -> None:
        """Log the time of the first token, if one has come."""
        if self.first_token_at is None and self.record.has_text:
            self.first_token_at = perf_counter()

    def log(self) -> RequestLog:
        """The row of the log."""
        first = self.first_token_at
        return RequestLog(
            id=self.response.request_id,
            deployment_id=self.route.deployment_id,
            api_key_id=self.route.api_key_id,
            date=self.date,
            endpoint=self.request.endpoint,
            input=self.request.input,
            messages=self.request.messages,
            output=self.record.output,
            status=self.status,
            error=self.record.error and message_of(self.record.error),
            prompt_tokens=self.record.prompt_tokens,
            completion_tokens=self.record.completion_tokens,
            latency_ms=(perf_counter() - self.started_at) * 1000,
            time_to_first_token_ms=None if first is None else (first - self.started_at) * 1000,
            streamed=self.request.is_streamed,
            finish=self.record.finish,
        )
