"""Request logs: the requests to deployments, and their responses."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from domain.reading import Reads


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLog:
    """A request to a deployment and its response. Latencies are in milliseconds."""

    id: str
    deployment_id: str
    api_key_id: str | None
    date: datetime
    endpoint: str
    input: str
    messages: Any = None
    output: str | None = None
    status: int
    error: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: float
    time_to_first_token_ms: float | None = None
    streamed: bool = False
    finish: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Conditions that listed requests fulfill."""

    since: datetime | None = None
    until: datetime | None = None
    search: str | None = None
    status: int | None = None
    api_key_id: str | None = None


class RequestLogs(Reads[RequestLog], Protocol):
    """Reads and writes request logs."""

    async def add_many(self, logs: Sequence[RequestLog]) -> None: ...
    def stream(self, deployment_id: str, *, viewer_id: str) -> AsyncGenerator[RequestLog, None]:
        """All requests to a deployment, oldest first, from a server-side cursor."""
        ...
