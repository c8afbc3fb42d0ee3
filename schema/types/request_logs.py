"""The request logs of the GraphQL API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import request_logs as domain
from domain.ids import Noun
from schema.shared.context import Info
from schema.shared.inputs import optional
from schema.shared.nodes import Node, lookup, mirror, noun
from schema.shared.scalars import JSON

if TYPE_CHECKING:
    from schema.types.api_keys import ApiKey


@noun
@strawberry.type(description="One request that a deployment answered.")
class RequestLog(Node):
    """A request log."""

    it: strawberry.Private[domain.RequestLog]
    date: datetime = strawberry.field(description="When it came.")
    endpoint: str = strawberry.field(description="What was called: chat/completions.")
    input: str = strawberry.field(description="The prompt, or the text of the last user message.")
    messages: JSON | None = strawberry.field(description="The whole list of a chat request.")
    output: str | None = strawberry.field(description="The answer.")
    status: int = strawberry.field(description="The HTTP status.")
    error: str | None = strawberry.field(description="What went wrong.")
    prompt_tokens: int | None = strawberry.field(description="Tokens of the request.")
    completion_tokens: int | None = strawberry.field(description="Tokens of the answer.")
    latency_ms: float = strawberry.field(description="From the request to the end of the answer.")
    time_to_first_token_ms: float | None = strawberry.field(description="From the request to the first word.")
    streamed: bool = strawberry.field(description="Whether the answer was streamed.")
    finish: str | None = strawberry.field(description="Why the answer ended.")

    @classmethod
    def of(cls, it: domain.RequestLog) -> "RequestLog":
        """A request log as the API shows it."""
        return mirror(cls, it, it=it)

    @strawberry.field(description="The key that asked; null once it is deleted.")
    def api_key(self, info: Info) -> Annotated["ApiKey", strawberry.lazy("schema.types.api_keys")] | None:
        """Loaded with the others."""
        return lookup(info, self.it.api_key_id, Noun.API_KEY)


@strawberry.input(description="Which requests a list shows.")
class LogFilter:
    """Which requests a list shows."""

    since: datetime | None = optional("From this moment on.")
    until: datetime | None = optional("Before this moment.")
    search: str | None = optional("A text in the input or the output, whatever its case.")
    status: int | None = optional("The HTTP status.")
    api_key_id: strawberry.ID | None = optional("The key that asked.")
