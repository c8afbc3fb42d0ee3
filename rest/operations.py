"""What the OpenAPI document says of a route: declared beside it, and put together by `rest/openapi.py`."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Json: TypeAlias = Mapping[str, Any]
"""An object of the document."""

ANYONE: Sequence[Json] = ()
BEARER: Sequence[Json] = ({"bearer": []},)
BEARER_OR_TICKET: Sequence[Json] = ({"bearer": []}, {"ticket": []})
BEARER_OR_WORKER_KEY: Sequence[Json] = ({"bearer": []}, {"workerKey": []})
BEARER_OR_NOTHING: Sequence[Json] = ({}, {"bearer": []})
DEPLOYMENT_KEY: Sequence[Json] = ({"deploymentKey": []},)

BINARY: Json = {"type": "string", "format": "binary"}
TEXT: Json = {"type": "string"}
EVENTS: Json = {"description": "Server-sent events."}
"""Without a type, for some tools apply it to the whole body, and some to one event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method of a path. What all operations share is added by `rest/openapi.py`.

    `id` is the `operationId`. `parameters` are those beside the path's. `errors` are statuses whose body has
    the schema `error`, besides those that follow from the path and from `access`; without it none are added.
    """

    id: str
    summary: str
    tag: str
    responses: Mapping[int | str, Json]
    access: Sequence[Json] = ANYONE
    description: str = ""
    parameters: Sequence[Json] = ()
    body: Json | None = None
    errors: Sequence[int] = ()
    error: str | None = "Error"


class DocumentedRoute(Route):
    """A route with its operation."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response] | Response],
        operation: Operation,
        *,
        methods: Iterable[str] = ("GET",),
    ) -> None:
        super().__init__(path, endpoint, methods=list(methods))
        self.operation = operation


def query(name: str, description: str, schema: Json) -> Json:
    """An optional query parameter."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


def query_choice(name: str, description: str, values: Iterable[str], default: str | None = None) -> Json:
    """An optional query parameter with one of these values, in any case; shown in lower case."""
    schema: dict[str, Any] = {"type": "string", "enum": [value.lower() for value in values]}
    return query(name, description, schema if default is None else schema | {"default": default})


def request_header(name: str, description: str, schema: Json = TEXT) -> Json:
    """An optional header of the request."""
    return {"name": name, "in": "header", "description": description, "schema": schema}


def json_body(schema: Json) -> Json:
    """A required JSON body."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def json_response(description: str, schema: Json, *, headers: Json | None = None) -> Json:
    """A JSON response."""
    response: Json = {"description": description, "content": {"application/json": {"schema": schema}}}
    return response if headers is None else {**response, "headers": headers}


def attachment(description: str, *media_types: str, headers: Json | None = None) -> Json:
    """A file as an attachment, in any of the media types."""
    return {
        "description": description,
        "content": {media_type: {"schema": _file(media_type)} for media_type in media_types},
        "headers": {"Content-Disposition": header("The name of the file.")} | dict(headers or {}),
    }


def _file(media_type: str) -> Json:
    """Text is not binary: generated clients would look for bytes in it."""
    if media_type == "application/json":
        return array_schema({"type": "object"})
    return TEXT if media_type.startswith("text/") or media_type == "application/jsonl" else BINARY


def header(description: str, schema: Json = TEXT) -> Json:
    """A header of a response."""
    return {"description": description, "schema": schema}


def stored_file(*media_types: str) -> Mapping[int | str, Json]:
    """The responses with a file from storage, whole or in part, but for the error 416."""
    headers = {
        "ETag": header("Identifies the content of the file."),
        "Accept-Ranges": header("Ranges of bytes can be requested."),
    }
    part = {"Content-Range": header("The range of bytes, and the size of the file: `bytes 0-99/1234`.")}
    return {
        200: attachment("The file.", *media_types, headers=headers),
        206: attachment("The requested range of the file.", *media_types, headers=headers | part),
        304: {
            "description": "The client has the file already: `If-None-Match` names its ETag.",
            "headers": headers,
        },
    }


RANGE_HEADERS = (
    request_header("Range", "One range of bytes: `bytes=0-99`, `bytes=100-` or `bytes=-100`."),
    request_header(
        "If-Range", "The ETag of the file that the range is of; of another one, the whole is sent."
    ),
    request_header("If-None-Match", "ETags of files that the client has."),
)


def object_schema(properties: Json, *, optional: Sequence[str] = (), description: str = "") -> Json:
    """An object whose properties are all required but for `optional`."""
    required = [name for name in properties if name not in optional]
    schema: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
    return schema | {"description": description} if description else schema


def array_schema(items: Json, **bounds: int) -> Json:
    """An array of items."""
    return {"type": "array", "items": items, **bounds}


def model_schema(model: type[BaseModel]) -> Json:
    """The schema of a Pydantic model: a reference to a schema of the document, and in `$defs` what that needs.

    `rest/openapi.py` moves `$defs` to the document's own schemas. They have the names of the models, without the
    underscore of private ones.
    """
    template = "#/components/schemas/{model}"
    _, schema = models_json_schema([(model, "validation")], ref_template=template)
    named = (
        json.dumps(schema["$defs"]).replace("/schemas/_", "/schemas/").replace('"title": "_', '"title": "')
    )
    definitions = {name.removeprefix("_"): definition for name, definition in json.loads(named).items()}
    return {"$ref": template.format(model=model.__name__.removeprefix("_")), "$defs": definitions}
