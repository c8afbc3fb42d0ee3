"""One request that found its deployment, from its first byte to its row in the log."""

from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter

from domain.ports.gateway import Route
from domain.request_logs import RequestLog
from rest.gateway._client import Reply
from rest.gateway._errors import OpenAIError, message_of
from rest.gateway._payloads import CompletionRequest, RecordedAnswer

CLIENT_CLOSED = 499
"""The status of a request whose client left before there was an answer."""


@dataclass(slots=True)
class Exchange:
    """A request that has a deployment, and what becomes of it."""

    route: Route
    asked: CompletionRequest
    endpoint: str
    reply: Reply
    began: float
    date: datetime
    answer: RecordedAnswer = field(default_factory=RecordedAnswer)
    status: int = 200
    first_text_at: float | None = None

    def fail(self, error: OpenAIError) -> None:
        """Note why it failed."""
        self.answer.error = error.error
        self.answer.finish = "error"
        self.status = 200 if self.reply.started else error.status

    def leave(self) -> None:
        """Note that the client went."""
        self.answer.finish = "client_disconnect"
        self.status = 200 if self.reply.started else CLIENT_CLOSED

    def heard(self) -> None:
        """Note when the first text came."""
        if self.first_text_at is None and self.answer.has_text:
            self.first_text_at = perf_counter()

    def log(self) -> RequestLog:
        """The row that is kept."""
        first = self.first_text_at
        return RequestLog(
            id=self.reply.request_id,
            deployment_id=self.route.deployment_id,
            api_key_id=self.route.api_key_id,
            date=self.date,
            endpoint=self.endpoint,
            input=self.asked.input,
            messages=self.asked.messages,
            output=self.answer.output,
            status=self.status,
            error=self.answer.error and message_of(self.answer.error),
            prompt_tokens=self.answer.prompt_tokens,
            completion_tokens=self.answer.completion_tokens,
            latency_ms=(perf_counter() - self.began) * 1000,
            time_to_first_token_ms=None if first is None else (first - self.began) * 1000,
            streamed=self.asked.streamed,
            finish=self.answer.finish,
        )
