"""The context value of an operation, which resolvers find in their Info."""

from dataclasses import dataclass, field
from typing import Any

import strawberry

from resolvers.context import Context
from schema.execution import HasOperationState, OperationState


@dataclass(slots=True, kw_only=True)
class GraphQLContext(Context, HasOperationState):
    """The context value of one HTTP request or WebSocket connection.

    `base_url` is the URL under which the client reached the server, without a slash at its end; `streams` says whether
    more than one result can be sent; `connection_params` is the payload of `connection_init`. `operation` is the state
    of the executor.
    """

    base_url: str
    streams: bool = False
    connection_params: dict[str, Any] | None = None
    operation: OperationState = field(default_factory=OperationState)


Info = strawberry.Info[GraphQLContext, None]
