"""GET /health."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rest.endpoints import services_of


async def health(request: Request) -> Response:
    """200 while requests can be served, else 503; the body has the state of each part."""
    state = await services_of(request).health()
    body = {
        "status": state.status,
        "db": state.db,
        "queue": state.queue,
        "storage": state.storage,
        "llm": state.llm,
        "version": state.version,
    }
    return JSONResponse(body, status_code=200 if state.is_ok else 503)


ROUTES = [Route("/health", health)]
