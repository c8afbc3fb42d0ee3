"""What REST endpoints share: authentication, the application's services, and domain errors as responses."""

import json
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from domain.errors import DomainError, Invalid, SignInRequired
from domain.ports.tokens import Viewer
from domain.reading import HasProject, Reads, require_in_project
from domain.services import Services
from domain.store import ReadStore
from edge.bearer_tokens import bearer_token, viewer_of
from edge.bodies import read_body, require_uncompressed
from edge.connection_quotas import ConnectionQuotas
from rest.errors import error_response

MAX_JSON = 1_048_576
"""Bytes of a JSON body."""


P = TypeVar("P", bound=HasProject)
Handler = Callable[[Request], Awaitable[Response]]


def services_of(request: Request) -> Services:
    """The services of the application."""
    return request.app.state.services  # type: ignore[no-any-return]  # set once, in app/asgi.py


def quotas_of(request: Request) -> ConnectionQuotas:
    """The connection quotas of this process."""
    return request.app.state.quotas  # type: ignore[no-any-return]  # set once, in app/asgi.py


def endpoint(handler: Handler) -> Handler:
    """An endpoint that answers a `DomainError` as a JSON body with its status."""

    @wraps(handler)
    async def wrapped(request: Request) -> Response:
        try:
            return await handler(request)
        except DomainError as error:
            return error_response(error)

    return wrapped


def authenticate(request: Request, *, allow_ticket: bool = False) -> Viewer:
    """The viewer of the bearer token or, without one, of a `ticket` for this path; raises `SignInRequired`."""
    authorization, tokens = request.headers.get("authorization"), services_of(request).tokens
    ticket = request.query_params.get("ticket") if allow_ticket else None
    if ticket and bearer_token(authorization) is None:
        viewer = tokens.ticket_viewer(ticket, request.url.path)
    else:
        viewer = viewer_of(tokens, authorization)
    if viewer is None:
        raise SignInRequired
    return viewer


def viewer_id(request: Request, *, allow_ticket: bool = False) -> str:
    """The id of the authenticated viewer; raises `SignInRequired`."""
    return authenticate(request, allow_ticket=allow_ticket).id


async def require_of_path(
    request: Request, reads_of: Callable[[ReadStore], Reads[P]], parameter: str, *, viewer_id: str
) -> P:
    """The viewer's object whose id is in the path beside that of its project; raises `NotFound`."""
    async with services_of(request).transactions.read() as store:
        return await require_in_project(
            reads_of(store),
            request.path_params[parameter],
            request.path_params["project_id"],
            viewer_id=viewer_id,
        )


async def json_object(request: Request) -> dict[str, Any]:
    """The body, which must be a JSON object of at most 1 MiB; raises `Invalid` or `LimitExceeded`."""
    require_uncompressed(request.scope["headers"])
    body = await read_body(request.scope, request.receive, MAX_JSON)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Invalid("The body is not JSON.", reason="INVALID_JSON") from None
    if not isinstance(value, dict):
        raise Invalid("The body must be a JSON object.", reason="INVALID_JSON")
    return value
