"""The GraphQL endpoint in the OpenAPI document: its transport alone, as GraphQL describes its own types."""

from collections.abc import Mapping

from rest.operations import (
    BEARER_OR_NOTHING,
    EVENTS,
    TEXT,
    Json,
    Operation,
    json_body,
    object_schema,
    query,
)

MEDIA_TYPES = ("application/json", "application/graphql-response+json")
ERRORS = {"type": "array", "items": {"type": "object"}}
RESULT: Json = {"type": "object", "properties": {"data": {"type": ["object", "null"]}, "errors": ERRORS}}
REQUEST = object_schema(
    {
        "query": {"type": "string", "minLength": 1, "description": "A GraphQL document."},
        "operationName": {"type": ["string", "null"]},
        "variables": {"type": ["object", "null"]},
        "extensions": {"type": ["object", "null"]},
    },
    optional=("operationName", "variables", "extensions"),
)


def _response(description: str, schema: Json, *, media_types: tuple[str, ...] = MEDIA_TYPES) -> Json:
    content = {media_type: {"schema": schema} for media_type in media_types}
    return {"description": description, "content": content}


RESULT_CONTENT = _response("", RESULT)["content"]
STREAM: Json = {"text/event-stream": {"schema": EVENTS}}
RESPONSES: Mapping[int | str, Json] = {
    200: {
        "description": "The result; of a subscription, and where the client prefers it, as server-sent events.",
        "content": RESULT_CONTENT | STREAM,
    },
    "4XX": _response("The request is refused.", {**RESULT, "required": ["errors"]}),
    "5XX": _response("The server failed.", {**RESULT, "required": ["errors"]}),
}

GRAPHQL_OPERATIONS: Mapping[str, Operation] = {
    "GET": Operation(
        id="graphqlQuery",
        summary="Execute a GraphQL query",
        description="Queries and subscriptions only. `variables` and `extensions` are JSON.",
        tag="GraphQL",
        access=BEARER_OR_NOTHING,
        parameters=(
            {**query("query", "A GraphQL document.", TEXT), "required": True},
            query("operationName", "The operation of the document that is executed.", TEXT),
            query("variables", "The variables, as JSON.", TEXT),
            query("extensions", "The extensions, as JSON.", TEXT),
        ),
        responses=RESPONSES,
        error=None,
    ),
    "POST": Operation(
        id="graphql",
        summary="Execute a GraphQL operation",
        description="The schema is introspectable. The same path speaks `graphql-transport-ws` over WebSocket.",
        tag="GraphQL",
        access=BEARER_OR_NOTHING,
        body=json_body(REQUEST),
        responses=RESPONSES,
        error=None,
    ),
}
