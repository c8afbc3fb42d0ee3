"""What every field of the schema is handed."""

from dataclasses import dataclass, field
from typing import Any

import strawberry

from resolvers.context import Context
from schema.execution import HasOperationState, OperationState


@dataclass(slots=True, kw_only=True)
class GraphQLContext(Context, HasOperationState):
    """One request or WebSocket of the GraphQL endpoint.

    `base_url` is how the caller reached the server, without a slash at its end; `streams` says whether more than one
    answer can be sent; `connection_params` is the payload of `connection_init`. `operation` is the engine's own.
    """

    base_url: str
    streams: bool = False
    connection_params: dict[str, Any] | None = None
    operation: OperationState = field(default_factory=OperationState)


Info = strawberry.Info[GraphQLContext, None]
