"""The GraphQL endpoint: HTTP, `graphql-transport-ws` and SSE on one path."""

import logging
import uuid
from asyncio import CancelledError
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import lru_cache
from typing import Any

from graphql import GraphQLError
from starlette.datastructures import URL
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.schema.base import BaseSchema
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType
from strawberry.types.unset import UNSET, UnsetType

from domain.errors import DomainError, RateLimited, Unauthenticated
from domain.ports.tokens import Viewer
from domain.services import Services
from edge.bearer_tokens import viewer_of
from edge.connection_quotas import ConnectionQuotas
from edge.event_streams import EventStream
from schema.engine import is_cancelled
from schema.execution import encode_json
from schema.http._requests import GraphQLRequest, Refused, request_of
from schema.http._responses import (
    GRAPHQL,
    PLAIN,
    Accepted,
    accepted,
    answer,
    body_of,
    event,
    failure,
    refusal,
)
from schema.http._websocket import Socket, SocketMessages
from schema.shared.context import GraphQLContext
from schema.shared.errors import clean

EXPIRED = "The token has expired."
OF_METHOD = {"GET": {OperationType.QUERY}, "POST": set(OperationType)}
"""A link that somebody follows must change nothing."""


log = logging.getLogger(__name__)


class GraphQLView(GraphQL[GraphQLContext, None]):
    """Strawberry's view with our context, bounds, media types and WebSockets."""

    websocket_adapter_class = SocketMessages
    graphql_transport_ws_handler_class = Socket

    def __init__(
        self,
        schema: BaseSchema,
        services: Services,
        quotas: ConnectionQuotas,
        *,
        public_url: str | None,
        origins: tuple[str, ...] = (),
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=("graphql-transport-ws",),
            allowed_origins=origins,
        )
        self._services = services
        self.quotas = quotas
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every refusal before the execution is JSON too."""
        if scope["type"] == "websocket":
            await super().__call__(scope, receive, send)
            return
        response = await self._answered(Request(scope, receive))
        if response is not None:
            await response(scope, receive, send)

    async def _answered(self, request: Request) -> Response | None:
        """The answer; None where nobody waits for it any more."""
        wanted, request_id = PLAIN, str(request.scope.get("request_id", ""))
        try:
            wanted = accepted(request.headers.get("accept"))
            return await self._answer(request, wanted)
        except Refused as refused:
            return refusal(refused, wanted.media, request_id)
        except ClientDisconnect:
            return None
        except (Exception, CancelledError) as error:
            if isinstance(error, CancelledError) and is_cancelled():
                raise
            log.exception("a request failed", extra={"request_id": request_id})
            return failure(wanted.media, request_id)

    async def _answer(self, request: Request, wanted: Accepted) -> Response:
        asked = await request_of(request)
        context = await self.get_context(request)
        context.streams = wanted.only_streams or (wanted.streams and "subscription" in asked.query)
        if context.streams and request.method == "POST":
            return self._stream(asked, context)
        return await self._once(asked, context, request.method, wanted.media)

    async def _once(
        self, asked: GraphQLRequest, context: GraphQLContext, method: str, media: str
    ) -> Response:
        try:
            result = await self.schema.execute(
                asked.query,
                asked.variables,
                context,
                None,
                asked.operation_name,
                OF_METHOD[method],
                asked.extensions,
            )
        except CannotGetOperationTypeError as error:
            raise Refused(400, error.as_http_error_reason()) from None
        except InvalidOperationTypeError:
            raise Refused(
                405, "A GET may only ask queries: send a POST.", headers={"Allow": "POST"}
            ) from None
        return answer(result, media)

    def _stream(self, asked: GraphQLRequest, context: GraphQLContext) -> Response:
        """The answers as events, if the caller has room for one more stream."""
        try:
            quota = self.quotas.streams.acquire(context.client_key)
        except RateLimited as error:
            return answer(ExecutionResult(data=None, errors=[_seen(error, context)]), GRAPHQL)
        expired = ExecutionResult(data=None, errors=[_seen(Unauthenticated(EXPIRED), context)])
        return EventStream(
            self._events(asked, context),
            quota=quota,
            life_s=context.token_remaining_s,
            last_event=event("next", body_of(expired)) + event("complete"),
        )

    async def _events(self, asked: GraphQLRequest, context: GraphQLContext) -> AsyncGenerator[str, None]:
        results: Any = await self.schema.stream(
            asked.query, asked.variables, context, None, asked.operation_name, asked.extensions
        )
        async with aclosing(results):
            async for result in results:
                yield event("next", body_of(result))
        yield event("complete")

    async def get_context(self, request: Request | WebSocket, response: Any = None) -> GraphQLContext:  # noqa: ARG002
        """Who asks, by the Authorization header."""
        scope = request.scope
        viewer = self._viewer(request.headers.get("authorization"))
        scope["viewer"] = viewer.id if viewer else None  # for the log, should the client stop reading
        return GraphQLContext(
            services=self._services,
            viewer=scope["viewer"],
            expires_at=viewer.expires_at if viewer else None,
            base_url=self._public_url or _base_url(scope, request.headers.get("host")),
            streams=scope["type"] == "websocket",
            address=request.client.host if request.client else None,
            request_id=scope.get("request_id") or str(uuid.uuid4()),
        )

    async def on_ws_connect(self, context: GraphQLContext) -> UnsetType | dict[str, object] | None:
        """A browser cannot set the header: there the token comes with `connection_init`."""
        given = (context.connection_params or {}).get("authorization")
        if context.viewer is None and (viewer := self._viewer(given if isinstance(given, str) else None)):
            context.viewer, context.expires_at = viewer.id, viewer.expires_at
        if context.viewer is None:
            raise ConnectionRejectionError
        return UNSET

    def _viewer(self, authorization: str | None) -> Viewer | None:
        return viewer_of(self._services.tokens, authorization)

    def encode_json(self, data: object) -> str:
        """Text, for a WebSocket of `graphql-transport-ws` carries no binary."""
        return encode_json(data).decode()


def _seen(error: DomainError, context: GraphQLContext) -> GraphQLError:
    return clean(GraphQLError(error.message, original_error=error), context.request_id)


def _base_url(scope: Scope, host: str | None) -> str:
    """How the caller reached us, as an HTTP URL without a slash at its end."""
    scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
    return _url(scheme, host, tuple(scope.get("server") or ()), scope.get("root_path", ""))


@lru_cache(maxsize=64)
def _url(scheme: str, host: str | None, server: tuple[Any, ...], path: str) -> str:
    """Kept, for the few names that a server has are asked for all the time."""
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    return str(
        URL(scope={"scheme": scheme, "headers": headers, "server": server or None, "path": path})
    ).rstrip("/")
