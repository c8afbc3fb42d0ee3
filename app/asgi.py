"""The ASGI application: GraphQL, REST and the OpenAI endpoint on one port."""

import gc
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp

from app.settings import Settings
from app.wiring import Wiring, wire
from edge.request_ids import RequestIds
from edge.slow_clients import SlowClientTimeout
from rest import datasets, deployments, documents, finetune_logs, finetunes, graphiql, health, webhooks
from rest.errors import refusal
from schema.http import GraphQLView
from schema.root import schema_of

REASONS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}
REST = (health, documents, datasets, finetunes, finetune_logs, deployments, webhooks, graphiql)


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
    return RequestIds(SlowClientTimeout(app, settings.slow_consumer_s))


def mount(app: Starlette, wiring: Wiring, settings: Settings) -> None:
    """Put every route in its place."""
    app.state.services = wiring.services
    app.state.quotas = wiring.quotas
    origins = tuple(filter(None, settings.console_origins.split(",")))
    graphql = GraphQLView(
        schema_of(fast=settings.fast_execution),
        wiring.services,
        wiring.quotas,
        public_url=settings.public_url,
        origins=origins,
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
