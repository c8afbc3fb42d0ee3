"""Request logs: what deployments were asked, and what they answered."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from domain.reading import Reads


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLog:
    """One answered request. Latencies are in milliseconds."""

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
    """Which requests a list shows."""

    since: datetime | None = None
    until: datetime | None = None
    search: str | None = None
    status: int | None = None
    api_key_id: str | None = None


class RequestLogs(Reads[RequestLog], Protocol):
    """The requests that are kept."""

    async def add_many(self, logs: Sequence[RequestLog]) -> None: ...
    def stream(self, deployment_id: str, *, viewer_id: str) -> AsyncGenerator[RequestLog, None]:
        """All of a deployment's requests, oldest first, from a server-side cursor."""
        ...
