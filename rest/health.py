"""GET /health."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rest.endpoints import services_of
from rest.operations import TEXT, DocumentedRoute, Json, Operation, json_response, object_schema


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


SERVICE: Json = {"type": "string", "description": "`connected`, or a few words on why not."}
SCHEMA = object_schema(
    {
        "status": {"enum": ["ok", "degraded", "unavailable"]},
        "db": SERVICE,
        "queue": SERVICE,
        "storage": SERVICE,
        "llm": SERVICE,
        "version": TEXT,
    }
)
OPERATION = Operation(
    id="health",
    summary="The state of the database, the queue, the storage and the model runtime",
    tag="Service",
    responses={
        200: json_response("Requests can be served.", SCHEMA),
        503: json_response("Requests cannot be served.", SCHEMA),
    },
)
ROUTES = [DocumentedRoute("/health", health, OPERATION)]
