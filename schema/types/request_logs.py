"""The request logs of the GraphQL API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import request_logs as domain
from domain.ids import Noun
from schema.shared.context import Info
from schema.shared.inputs import optional
from schema.shared.nodes import Node, convert, load_node, node
from schema.shared.scalars import JSON

if TYPE_CHECKING:
    from schema.types.api_keys import ApiKey


@node(Noun.REQUEST_LOG, domain.RequestLog)
@strawberry.type(description="A request to a deployment, with its response.")
class RequestLog(Node):
    record: strawberry.Private[domain.RequestLog]
    date: datetime = strawberry.field(description="Time when the request arrived.")
    endpoint: str = strawberry.field(description="OpenAI endpoint: `chat/completions` or `completions`.")
    input: str = strawberry.field(description="The prompt, or the text of the last user message.")
    messages: JSON | None = strawberry.field(
        description="All messages of a chat request, as sent; null for `completions`."
    )
    output: str | None = strawberry.field(
        description="Text of the response, all choices joined by newlines, cut after "
        "1,048,576 characters; null when there is none."
    )
    status: int = strawberry.field(
        description="HTTP status code of the response; 499 when the client left before it began."
    )
    error: str | None = strawberry.field(description="Error message; null when there was no error.")
    prompt_tokens: int | None = strawberry.field(
        description="Number of prompt tokens; null when the model server reported none."
    )
    completion_tokens: int | None = strawberry.field(
        description="Number of completion tokens; null when the model server reported none."
    )
    latency_ms: float = strawberry.field(
        description="Latency in milliseconds, from the request to the end of the response."
    )
    time_to_first_token_ms: float | None = strawberry.field(
        description="Time to first token in milliseconds, from the "
        "request on; null when no text was streamed."
    )
    streamed: bool = strawberry.field(description="Whether the request asked for a streamed response.")
    finish: str | None = strawberry.field(
        description="Finish reason, such as `stop` or `length`; `error` after an error and "
        "`client_disconnect` when the client left. Null when unknown."
    )

    @classmethod
    def from_domain(cls, record: domain.RequestLog) -> "RequestLog":
        return convert(cls, record, record=record)

    @strawberry.field(description="API key of the request; null after it is deleted.")
    def api_key(self, info: Info) -> Annotated["ApiKey", strawberry.lazy("schema.types.api_keys")] | None:
        return load_node(info, self.record.api_key_id, Noun.API_KEY)


@strawberry.input(
    description="Conditions on request logs: all that are given must hold, null is no condition."
)
class LogFilter:
    since: datetime | None = optional("Only requests at or after this time.")
    until: datetime | None = optional("Only requests before this time.")
    search: str | None = optional(
        "Only requests with this text in `input` or `output`, at most 65,536 characters, not case-sensitive."
    )
    status: int | None = optional("Only requests with this HTTP status code.")
    api_key_id: strawberry.ID | None = optional("Only requests with this API key.")
