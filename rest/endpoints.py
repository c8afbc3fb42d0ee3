"""What REST endpoints share: who asks, what is reachable, and how a refusal is answered."""

import json
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from domain.errors import DomainError, Invalid, SignInRequired
from domain.ports.tokens import Viewer
from domain.services import Services
from edge.bearer_tokens import bearer_token, viewer_of
from edge.bodies import read_body
from edge.connection_quotas import ConnectionQuotas
from rest.errors import error_response

MAX_JSON = 1_048_576


Handler = Callable[[Request], Awaitable[Response]]


def services(request: Request) -> Services:
    """The ports."""
    return request.app.state.services  # type: ignore[no-any-return]  # set once, in app/asgi.py


def quotas(request: Request) -> ConnectionQuotas:
    """What may be open at a time."""
    return request.app.state.quotas  # type: ignore[no-any-return]  # set once, in app/asgi.py


def endpoint(handler: Handler) -> Handler:
    """An endpoint whose refusals are answered as the contract says."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except DomainError as error:
            return error_response(error)

    return answer


def signed_in(request: Request) -> Viewer:
    """Who asks, by bearer token, and until when that holds; raises `SignInRequired`."""
    viewer = viewer_of(services(request).tokens, request.headers.get("authorization"))
    if viewer is None:
        raise SignInRequired
    return viewer


def viewer_id(request: Request) -> str:
    """Who asks, by bearer token; raises `SignInRequired`."""
    return signed_in(request).id


def let_in(request: Request) -> Viewer:
    """Who asks, by bearer token or by a `ticket` made for this path, and until when; raises `SignInRequired`."""
    ticket = request.query_params.get("ticket")
    if not ticket or bearer_token(request.headers.get("authorization")) is not None:
        return signed_in(request)
    viewer = services(request).tokens.ticket_viewer(ticket, request.url.path)
    if viewer is None:
        raise SignInRequired
    return viewer


def viewer_or_ticket(request: Request) -> str:
    """Who asks, by bearer token or by a `ticket` made for this path; raises `SignInRequired`."""
    return let_in(request).id


async def json_object(request: Request) -> dict[str, Any]:
    """The body, which must be a JSON object of at most 1 MiB; raises `Invalid` or `LimitExceeded`."""
    body = await read_body(request.scope, request.receive, MAX_JSON)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Invalid("The body is not JSON.", reason="INVALID_JSON") from None
    if not isinstance(value, dict):
        raise Invalid("The body must be a JSON object.", reason="INVALID_JSON")
    return value
