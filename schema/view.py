"""The GraphQL endpoint: HTTP, `graphql-transport-ws` and SSE on one path."""

import uuid
from typing import Any

import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.types.unset import UNSET, UnsetType

from domain.services import Services
from resolvers.context import Context
from schema.root import schema

MAX_BODY = 262_144


class GraphQLView(GraphQL[Context, None]):
    """Strawberry's view with our context, JSON errors and bounds."""

    def __init__(self, services: Services, *, public_url: str | None, origins: tuple[str, ...] = ()) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            allow_queries_via_get=False,
            subscription_protocols=("graphql-transport-ws", "graphql-sse"),
            allowed_origins=origins,
        )
        self._services = services
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every refusal before the execution is JSON too."""
        if scope["type"] == "websocket":
            await super().__call__(scope, receive, send)
            return
        try:
            body = await _body(Request(scope, receive))
            response: Any = await self.run(Request(scope, _replayed(body, receive)))
        except HTTPException as error:
            response = _refusal(error.status_code, error.reason)
        except RecursionError:
            response = _refusal(400, "The body is nested too deeply.")
        await response(scope, receive, send)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:  # noqa: ARG002
        """Who asks, by the Authorization header."""
        return Context(
            services=self._services,
            viewer=self._viewer(request.headers.get("authorization")),
            base_url=self._public_url or _base_url(request),
            streams=isinstance(request, WebSocket)
            or "text/event-stream" in request.headers.get("accept", ""),
            request_id=request.scope.get("request_id") or str(uuid.uuid4()),
        )

    async def on_ws_connect(self, context: Context) -> UnsetType | dict[str, object] | None:
        """A browser cannot set the header: there the token comes with `connection_init`."""
        given = (context.connection_params or {}).get("authorization")
        context.viewer = context.viewer or self._viewer(given if isinstance(given, str) else None)
        if context.viewer is None:
            raise ConnectionRejectionError
        return UNSET

    def _viewer(self, authorization: str | None) -> str | None:
        scheme, _, token = (authorization or "").partition(" ")
        return self._services.tokens.viewer_id(token.strip()) if scheme.lower() == "bearer" else None

    def decode_json(self, data: str | bytes) -> object:
        """Fast, and it refuses what is nested too deeply."""
        return orjson.loads(data)

    def encode_json(self, data: object) -> str:
        """Text, for a WebSocket of `graphql-transport-ws` carries no binary."""
        return orjson.dumps(data).decode()

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> Any:
        """The request, which is a JSON object and nothing else."""
        try:
            return await super().parse_http_body(request)
        except (AttributeError, TypeError):
            raise HTTPException(400, "The body must be a JSON object.") from None


def _base_url(request: Request | WebSocket) -> str:
    """How the caller reached us, as an HTTP URL without a slash at its end."""
    scheme = {"ws": "http", "wss": "https"}.get(request.base_url.scheme, request.base_url.scheme)
    return str(request.base_url.replace(scheme=scheme)).rstrip("/")


async def _body(request: Request) -> bytes:
    """The whole body, which is bounded before any of it is read as JSON."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"The body is larger than {MAX_BODY:,} bytes.")
    return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What the view reads: the body once, then the client's going away."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Any:
        return messages.pop() if messages else await receive()

    return replay


def _refusal(status: int, message: str) -> Response:
    error = {"message": message, "extensions": {"code": "BAD_USER_INPUT"}}
    return JSONResponse({"errors": [error]}, status_code=status)
