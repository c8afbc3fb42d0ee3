"""The gateway's endpoints in the OpenAPI document."""

from collections.abc import Iterator, Mapping

from rest.gateway._checks import CHAT_SCHEMA, COMPLETION_SCHEMA
from rest.gateway._endpoints import ENDPOINTS
from rest.operations import (
    DEPLOYMENT_KEY,
    EVENTS,
    TEXT,
    Json,
    Operation,
    array_schema,
    json_body,
    json_response,
    object_schema,
)

MODEL = object_schema(
    {"model": {"type": "string", "description": "The name of a deployed model, such as `GET models` lists."}}
)
CHAT_BODY: Json = {
    "allOf": [MODEL, CHAT_SCHEMA],
    "properties": {"tool_choice": {"anyOf": [{"enum": ["none", "auto", "required"]}, {"type": "object"}]}},
}
COMPLETION_BODY: Json = {"allOf": [MODEL, COMPLETION_SCHEMA]}
INTEGER, OBJECT = {"type": "integer"}, {"type": "object"}
GENERATED = object_schema(
    {"model": TEXT, "choices": array_schema(OBJECT), "usage": OBJECT}, optional=["usage"]
)
LISTED_MODEL = object_schema(
    {"id": TEXT, "object": {"const": "model"}, "created": INTEGER, "owned_by": TEXT},
    description="`id` is the name of the model.",
)
GENERATION_ERRORS = (400, 403, 409, 413, 415, 422, 429, 502, 504)
HEALTH: Json = {
    "description": "The models can be requested.",
    "content": {"application/json": {"schema": {}}},
}


def _generation(id: str, summary: str, body: Json) -> Operation:
    response = json_response("The generated text.", GENERATED)
    stream = {"text/event-stream": {"schema": EVENTS}}
    return Operation(
        id=id,
        summary=summary,
        tag="OpenAI",
        access=DEPLOYMENT_KEY,
        body=json_body(body),
        responses={200: {**response, "content": response["content"] | stream}},
        errors=GENERATION_ERRORS,
        error="OpenAIError",
    )


def _reading(id: str, summary: str, response: Json) -> Operation:
    return Operation(
        id=id,
        summary=summary,
        tag="OpenAI",
        access=DEPLOYMENT_KEY,
        responses={200: response},
        errors=(429,),
        error="OpenAIError",
    )


OPERATIONS: Mapping[str, Operation] = {
    "chat/completions": _generation("createChatCompletion", "Generate a response to a chat", CHAT_BODY),
    "completions": _generation("createCompletion", "Continue a text", COMPLETION_BODY),
    "models": _reading(
        "listModels",
        "The models that the key gives access to",
        json_response(
            "The models.", object_schema({"object": {"const": "list"}, "data": array_schema(LISTED_MODEL)})
        ),
    ),
    "models/{model}": _reading(
        "retrieveModel",
        "A model that the key gives access to",
        json_response("The model. Its name may contain slashes, encoded or not.", LISTED_MODEL),
    ),
    "health": _reading("deploymentHealth", "Whether a model of the key is ready", HEALTH),
}
"""By the name of the endpoint in `ENDPOINTS`."""


def operations() -> Iterator[tuple[str, str, Operation]]:
    """Path below a project, method and operation of each endpoint."""
    for endpoint, method in ENDPOINTS.items():
        yield endpoint, method, OPERATIONS[endpoint]
