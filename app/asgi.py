"""The ASGI application: GraphQL, REST and the OpenAI endpoint on one port."""

import gc
import logging
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.patience import Patience
from app.settings import Settings
from app.wiring import Wiring, wire
from rest import datasets, deployments, downloads, files, finetunes, graphiql, health, streams, webhooks
from rest.errors import refusal
from schema.http._view import GraphQLView

REASONS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}
REST = (health, files, downloads, datasets, finetunes, deployments, streams, webhooks, graphiql)
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")

GARBAGE = (50_000, 10, 10)
"""How many objects are made between two looks for garbage: an answer is thousands, and none of them garbage yet."""

log = logging.getLogger(__name__)


def application(settings: Settings) -> ASGIApp:
    """The application of one process; its parts live as long as the server runs it."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with wire(settings) as wiring:
            mount(app, wiring, settings)
            gc.collect()
            gc.freeze()  # what is there now stays: to look through it for garbage again and again takes 100 ms each time
            gc.set_threshold(*GARBAGE)
            yield

    return edge(Starlette(lifespan=lifespan, exception_handlers=HANDLERS), settings)


def edge(app: ASGIApp, settings: Settings) -> ASGIApp:
    """What every request passes on its way in, and every answer on its way out."""
    return RequestIds(Patience(app, settings.slow_consumer_s))


def mount(app: Starlette, wiring: Wiring, settings: Settings) -> None:
    """Put every route in its place."""
    app.state.services = wiring.services
    origins = tuple(filter(None, settings.console_origins.split(",")))
    graphql = GraphQLView(
        wiring.services, public_url=settings.public_url, origins=origins, fast=settings.fast_execution
    )
    app.router.routes.extend(
        [
            Route("/graphql", graphql),  # serves no WebSocket, hence the second
            WebSocketRoute("/graphql", graphql),
            *(route for module in REST for route in module.ROUTES),
            Mount("/public", wiring.gateway),
        ]
    )


async def _refused(_: Request, error: Exception) -> Response:
    """What Starlette itself refuses, such as an unknown path."""
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    return refusal(status, REASONS.get(status, "INVALID"), f"{detail}.")


async def _failed(request: Request, error: Exception) -> Response:
    """A fault of ours, told without its inside; the log has the rest under the request's id."""
    log.error("a request failed", exc_info=error, extra={"request_id": request.scope.get("request_id")})
    return refusal(500, "INTERNAL", "Something went wrong inside Luthier.")


HANDLERS: Mapping[Any, Any] = {HTTPException: _refused, Exception: _failed}


class RequestIds:
    """Gives each request an id, or keeps the caller's, and says it in `x-request-id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its id."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if REQUEST_ID.fullmatch(given) else str(uuid.uuid4())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                if not any(name.lower() == b"x-request-id" for name, _ in headers):
                    message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app({**scope, "request_id": request_id}, receive, send_with_id)
        except Exception:
            if scope["type"] == "websocket":  # `_failed` is only called for the others
                log.exception("a socket failed", extra={"request_id": request_id})
            raise
