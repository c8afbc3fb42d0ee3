"""GET /health."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rest.endpoints import services


async def health(request: Request) -> Response:
    """200 while requests can be served, else 503; each part says how it is."""
    found = await services(request).health()
    body = {
        "status": found.status,
        "db": found.db,
        "queue": found.queue,
        "storage": found.storage,
        "llm": found.llm,
        "version": found.version,
    }
    return JSONResponse(body, status_code=200 if found.is_ok else 503)


ROUTES = [Route("/health", health)]
