"""Rate limits on REST endpoints: a request is counted before anything else of it is read."""

from collections.abc import Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response

from domain.errors import SignInRequired
from domain.rate_limits import CallKind, RateLimitedCall, caller
from rest.endpoints import Handler, services, viewer_or_ticket


def limited(kind: CallKind) -> Callable[[Handler], Handler]:
    """An endpoint each request of which counts as a call of this kind; raises `RateLimited`."""

    def counted(handler: Handler) -> Handler:
        @wraps(handler)
        async def answer(request: Request) -> Response:
            if (rates := services(request).rates) is not None:
                await rates.hit([RateLimitedCall(kind, _caller(request))])
            return await handler(request)

        return answer

    return counted


def _caller(request: Request) -> str:
    try:
        viewer = viewer_or_ticket(request)
    except SignInRequired:
        viewer = None
    return caller(viewer, request.client.host if request.client else None)
