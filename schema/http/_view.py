"""The GraphQL endpoint: HTTP, `graphql-transport-ws` and SSE on one path."""

import logging
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
from schema.http._connection_init import authorization_of, refusal_reason
from schema.http._requests import GraphQLRequest, PersistedQueryNotSupported, RequestError, parse_request
from schema.http._responses import (
    GRAPHQL_TYPE,
    JSON_ONLY,
    AcceptedTypes,
    error_response,
    event,
    fallback_response,
    internal_error_response,
    negotiate,
    response_body,
    result_response,
)
from schema.http._websocket import BoundedHandler, BoundedWebSocket, CloseCode, CloseConnection
from schema.shared.context import GraphQLContext
from schema.shared.errors import mask_error

EXPIRED = "The token has expired."
ALLOWED_OPERATIONS = {"GET": {OperationType.QUERY}, "POST": set(OperationType)}
"""By HTTP method: GET is safe, so that following a link changes nothing."""

logger = logging.getLogger(__name__)


class GraphQLView(GraphQL[GraphQLContext, None]):
    """Strawberry's view with the application's context, limits, content negotiation and WebSocket handler."""

    websocket_adapter_class = BoundedWebSocket
    graphql_transport_ws_handler_class = BoundedHandler

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
        """Serve one connection; over HTTP every error is JSON, also one before the execution."""
        if scope["type"] == "websocket":
            await super().__call__(scope, receive, send)
            return
        response = await self._respond(Request(scope, receive))
        if response is not None:
            await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response | None:
        """The response, also to what fails; None where the client has disconnected."""
        accepted, request_id = JSON_ONLY, request.scope["request_id"]
        try:
            accepted = negotiate(request.headers.get("accept"))
            return await self._execute(request, accepted)
        except PersistedQueryNotSupported as error:
            as_stream = accepted.only_streams and request.method == "POST"
            return fallback_response(error, accepted, request_id, as_stream=as_stream)
        except RequestError as error:
            return error_response(error, accepted.media_type, request_id)
        except ClientDisconnect:
            return None
        except (Exception, CancelledError) as error:
            if isinstance(error, CancelledError) and is_cancelled():
                raise
            logger.exception("A GraphQL request failed.", extra={"request_id": request_id})
            return internal_error_response(accepted.media_type, request_id)

    async def _execute(self, http: Request, accepted: AcceptedTypes) -> Response:
        request = await parse_request(http)
        context = await self.get_context(http)
        context.streams = accepted.only_streams or (accepted.streams and "subscription" in request.query)
        if context.streams and http.method == "POST":
            return self._stream(request, context)
        return await self._execute_once(request, context, http.method, accepted.media_type)

    async def _execute_once(
        self, request: GraphQLRequest, context: GraphQLContext, method: str, media_type: str
    ) -> Response:
        try:
            result = await self.schema.execute(
                request.query,
                request.variables,
                context,
                None,
                request.operation_name,
                ALLOWED_OPERATIONS[method],
                request.extensions,
            )
        except CannotGetOperationTypeError as error:
            raise RequestError(400, error.as_http_error_reason()) from None
        except InvalidOperationTypeError:
            message = "GET executes queries only: send a POST."
            raise RequestError(405, message, headers={"Allow": "POST"}) from None
        return result_response(result, media_type)

    def _stream(self, request: GraphQLRequest, context: GraphQLContext) -> Response:
        """The results as an event stream, if the user may open one more."""
        try:
            quota = self.quotas.subscriptions.acquire(context.client_key)
        except RateLimited as error:
            return result_response(_error_result(error, context), GRAPHQL_TYPE)
        expired = _error_result(Unauthenticated(EXPIRED), context)
        return EventStream(
            self._events(request, context),
            quota=quota,
            remaining_s=context.token_remaining_s,
            last_event=event("next", response_body(expired)) + event("complete"),
        )

    async def _events(self, request: GraphQLRequest, context: GraphQLContext) -> AsyncGenerator[str, None]:
        results: Any = await self.schema.stream(
            request.query, request.variables, context, None, request.operation_name, request.extensions
        )
        async with aclosing(results):
            async for result in results:
                yield event("next", response_body(result))
        yield event("complete")

    async def get_context(self, request: Request | WebSocket, response: Any = None) -> GraphQLContext:  # noqa: ARG002
        """The context value of a request, whose viewer is that of its Authorization header."""
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
            request_id=scope["request_id"],
        )

    async def on_ws_connect(self, context: GraphQLContext) -> UnsetType | dict[str, object] | None:
        """Read the token of `connection_init`, as a browser cannot set the Authorization header of a WebSocket.

        A valid token in that header comes first. Raises `CloseConnection` where there is no valid token.
        """
        if context.viewer is None:
            authorization = authorization_of(context.connection_params or {})
            viewer = self._viewer(authorization)
            if viewer is None:
                raise CloseConnection(CloseCode.FORBIDDEN, refusal_reason(authorization))
            context.viewer, context.expires_at = viewer.id, viewer.expires_at
        return UNSET

    def _viewer(self, authorization: str | None) -> Viewer | None:
        return viewer_of(self._services.tokens, authorization)

    def encode_json(self, data: object) -> str:
        """Encode as text: messages of `graphql-transport-ws` are not binary."""
        return encode_json(data).decode()


def _error_result(error: DomainError, context: GraphQLContext) -> ExecutionResult:
    masked = mask_error(GraphQLError(error.message, original_error=error), context.request_id)
    return ExecutionResult(data=None, errors=[masked])


def _base_url(scope: Scope, host: str | None) -> str:
    """The URL under which the client reached this server, as HTTP and without a slash at its end."""
    scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
    return _url(scheme, host, tuple(scope.get("server") or ()), scope.get("root_path", ""))


@lru_cache(maxsize=64)
def _url(scheme: str, host: str | None, server: tuple[Any, ...], path: str) -> str:
    """Cached: a server has few names, and they are needed for each request."""
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    return str(
        URL(scope={"scheme": scheme, "headers": headers, "server": server or None, "path": path})
    ).rstrip("/")
