"""The ASGI application: GraphQL, REST and the OpenAI endpoint on one port."""

import gc
import json
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
from app.wiring import VERSION, Wiring, wire
from domain.errors import INTERNAL_MESSAGE
from edge.cors import Cors, listed_origins
from edge.request_ids import RequestIds
from edge.slow_clients import SlowClientTimeout
from rest import (
    datasets,
    deployments,
    documents,
    finetune_logs,
    finetunes,
    graphiql,
    health,
    openapi,
    webhooks,
)
from rest.errors import refusal
from schema.http import GraphQLView
from schema.root import schema_with_executor

REASONS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}
PUBLIC_PATH = "/public/"
REST = (health, documents, datasets, finetunes, finetune_logs, deployments, webhooks, graphiql, openapi)


GC_THRESHOLDS = (50_000, 10, 10)
"""A response makes thousands of objects, all of them in use: the default of 700 would collect during each."""


logger = logging.getLogger(__name__)


def application(settings: Settings) -> ASGIApp:
    """The application of one process; its services are opened and closed with the ASGI lifespan."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with wire(settings) as wiring:
            add_routes(app, wiring, settings)
            gc.collect()
            gc.freeze()  # these objects stay: a full collection that visits them takes 100 ms
            gc.set_threshold(*GC_THRESHOLDS)
            yield

    return with_middleware(Starlette(lifespan=lifespan, exception_handlers=HANDLERS), settings)


def with_middleware(app: ASGIApp, settings: Settings) -> ASGIApp:
    """The application with request ids, CORS and a timeout for slow clients."""
    in_time = SlowClientTimeout(app, settings.slow_client_timeout_s)
    return RequestIds(Cors(in_time, origins=settings.origins, public_path=PUBLIC_PATH, refuse=refusal))


def add_routes(app: Starlette, wiring: Wiring, settings: Settings) -> None:
    """Add all routes, and the services that they use."""
    app.state.services = wiring.services
    app.state.quotas = wiring.quotas
    graphql = GraphQLView(
        schema_with_executor(by_column=settings.fast_execution),
        wiring.services,
        wiring.quotas,
        public_url=settings.public_url,
        origins=listed_origins(settings.origins),
    )
    app.router.routes.extend(
        [
            Route("/graphql", graphql),  # a Route serves no WebSocket
            WebSocketRoute("/graphql", graphql),
            *(route for module in REST for route in module.ROUTES),
            Mount(PUBLIC_PATH, wiring.gateway),
        ]
    )
    app.state.openapi = json.dumps(openapi.document(app.routes, VERSION)).encode()


async def _http_error(_: Request, error: Exception) -> Response:
    """An error of Starlette, such as an unknown path; 405 has the header `Allow`."""
    assert isinstance(error, HTTPException)
    response = refusal(error.status_code, REASONS.get(error.status_code, "INVALID"), f"{error.detail}.")
    response.headers.update(error.headers or {})
    return response


async def _internal_error(request: Request, error: Exception) -> Response:
    """An unexpected error, without details; they are logged with the request's id."""
    logger.error("A request failed", exc_info=error, extra={"request_id": request.scope.get("request_id")})
    return refusal(500, "INTERNAL", INTERNAL_MESSAGE)


HANDLERS: Mapping[Any, Any] = {HTTPException: _http_error, Exception: _internal_error}
