"""GET /openapi.json: every path of the application, as OpenAPI 3.1.

Each route brings its operation (`rest/operations.py`); what all of them share is added here.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from domain.ids import PREFIXES, Noun
from rest import gateway
from rest.graphql_operations import GRAPHQL_OPERATIONS
from rest.openapi_components import (
    ERROR_HEADERS,
    ERROR_SCHEMAS,
    ERRORS,
    PARAMETERS,
    REQUEST_ID,
    SECURITY_SCHEMES,
    TAGS,
)
from rest.operations import TEXT, DocumentedRoute, Json, Operation, header, json_response

DESCRIPTION = """\
Luthier's API is GraphQL, at `/graphql`. These paths are what GraphQL serves badly: files, event streams, webhooks, and the \
OpenAI-compatible endpoint of deployed models. Each path that can be requested by GET can be requested by HEAD too."""
NOUNS = {f"{noun.lower()}_id": noun for noun in Noun}
PATH_PARAMETER = re.compile(r"{(\w+)}")


def document(routes: Iterable[BaseRoute], version: str) -> Json:
    """The OpenAPI document of an application; raises `TypeError` for a route that has no operation."""
    paths: dict[str, dict[str, Any]] = {}
    schemas = dict(ERROR_SCHEMAS)
    uses = Counter[str]()
    for path, method, operation in _operations(routes):
        uses[operation.id] += 1
        number = str(uses[operation.id]) if uses[operation.id] > 1 else ""
        described = _described(path, operation) | {"operationId": operation.id + number}
        paths.setdefault(path, {})[method.lower()] = _without_definitions(described, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Luthier", "version": version, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": SECURITY_SCHEMES,
            "headers": {"x-request-id": header("The id of the request, which the server's log has too.")},
        },
    }


def _operations(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str, Operation]]:
    """Path, method and operation."""
    for route in routes:
        match route:
            case DocumentedRoute(path=path, methods=methods, operation=operation):
                yield from ((path, method, operation) for method in sorted(methods or ()) if method != "HEAD")
            case Route(path="/graphql" as path):
                yield from ((path, method, operation) for method, operation in GRAPHQL_OPERATIONS.items())
            case Mount(path="/public" as path):
                for endpoint, method, operation in gateway.operations():
                    yield f"{path}/{{project_id}}/{endpoint}", method, operation
                    yield f"{path}/{{project_id}}/v1/{endpoint}", method, operation
            case WebSocketRoute():
                pass  # OpenAPI has no WebSockets
            case _:
                raise TypeError(f"{route} has no operation for the OpenAPI document.")


def _described(path: str, operation: Operation) -> dict[str, Any]:
    """An operation as an object of the document."""
    described: dict[str, Any] = {
        "summary": operation.summary,
        "description": operation.description,
        "tags": [operation.tag],
        "security": list(operation.access),
        "parameters": [*_path_parameters(path), *operation.parameters],
        "requestBody": operation.body,
        "responses": {str(status): _with_id(response) for status, response in _responses(path, operation)},
    }
    return {name: value for name, value in described.items() if value or name == "security"}


def _path_parameters(path: str) -> Iterator[Json]:
    for name in PATH_PARAMETER.findall(path):
        description, schema = PARAMETERS.get(name, ""), TEXT
        if not description:
            noun = NOUNS[name]
            description = f"The id of a {noun.words}."
            schema = {"type": "string", "pattern": f"^{PREFIXES[noun]}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"}
        yield {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _responses(path: str, operation: Operation) -> Iterator[tuple[int | str, Json]]:
    """Status and response, those of `operation` first."""
    yield from operation.responses.items()
    if operation.error is None:
        return
    errors = {*operation.errors, 500, 503}
    errors |= {401} if operation.access else set()
    errors |= {404} if PATH_PARAMETER.search(path) else set()
    for status in sorted(errors - operation.responses.keys()):
        schema = {"$ref": f"#/components/schemas/{operation.error}"}
        yield status, json_response(ERRORS[status], schema, headers=ERROR_HEADERS.get(status))


def _with_id(response: Json) -> Json:
    """A response with the header that all responses have."""
    return {**response, "headers": REQUEST_ID | dict(response.get("headers", {}))}


def _without_definitions(value: Any, schemas: dict[str, Any]) -> Any:
    """A value of the document whose `$defs`, as Pydantic writes them, are moved to `schemas`."""
    if isinstance(value, list):
        return [_without_definitions(member, schemas) for member in value]
    if not isinstance(value, dict):
        return value
    for name, definition in value.get("$defs", {}).items():
        if schemas.setdefault(name, definition) != definition:
            raise TypeError(f"Two schemas of the OpenAPI document are named {name}.")
    return {name: _without_definitions(member, schemas) for name, member in value.items() if name != "$defs"}


async def openapi(request: Request) -> Response:
    """The document, which `app/asgi.py` makes of the routes."""
    return Response(request.app.state.openapi, media_type="application/json")


ROUTES = [
    DocumentedRoute(
        "/openapi.json",
        openapi,
        Operation(
            id="openapi",
            summary="This document",
            tag="Service",
            responses={200: json_response("An OpenAPI document.", {"type": "object"})},
        ),
    )
]
