"""Rate limits of REST endpoints. A request is counted before its body is read."""

from collections.abc import Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response

from domain.errors import SignInRequired
from domain.rate_limits import CallKind, RateLimitedCall, client_key
from rest.endpoints import Handler, services_of, viewer_id


def rate_limited(kind: CallKind) -> Callable[[Handler], Handler]:
    """A decorator of an endpoint: each request counts as a call of this kind; raises `RateLimited`."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        async def wrapped(request: Request) -> Response:
            if (rate_limiter := services_of(request).rate_limiter) is not None:
                await rate_limiter.hit([RateLimitedCall(kind, _caller(request))])
            return await handler(request)

        return wrapped

    return decorate


def _caller(request: Request) -> str:
    try:
        viewer = viewer_id(request, allow_ticket=True)
    except SignInRequired:
        viewer = None
    return client_key(viewer, request.client.host if request.client else None)
