"""What the operations of the OpenAPI document share: tags, security schemes, errors and headers."""

from collections.abc import Mapping

from rest.operations import Json, header, object_schema

PARAMETERS = {
    "filename": "The name of an artifact, as `Finetune.artifacts` has it.",
    "name": "The name of a file.",
    "model": "The name of a model.",
}
"""The parameters of a path that are not ids."""
SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A user's token, which `login` returns."},
    "ticket": {
        "type": "apiKey", "in": "query", "name": "ticket",
        "description": "For a browser's links and for EventSource, which send no header: `ticket(path: …)` of the GraphQL API makes "
        "one for a path, for 10 minutes.",
    },
    "deploymentKey": {
        "type": "http", "scheme": "bearer",
        "description": "An API key of a deployment, `lk_…`, which `createApiKey` returns.",
    },
    "workerKey": {
        "type": "apiKey", "in": "header", "name": "X-API-Key",
        "description": "The key of external workers, `APP_EXTERNAL_API_KEY`.",
    },
}  # fmt: skip
TAGS = {
    "GraphQL": "The API, and its editor.",
    "Files": "Uploads and downloads.",
    "Streams": "Server-sent events.",
    "External workers": "Status updates of generations and trainings that run elsewhere.",
    "OpenAI": "The OpenAI-compatible endpoint of a project's deployments, below `/public/{project_id}` and "
    "`/public/{project_id}/v1`. OpenAI's own reference describes it; fields that are not listed are forwarded.",
    "Service": "Health, and this document.",
}
ERROR_SCHEMAS = {
    "Error": object_schema(
        {
            "detail": {"type": "string", "description": "An explanation for people."},
            "error_code": {"type": "string", "description": "A stable identifier for programs, in capitals."},
            "context": {"type": "object", "description": "Details such as limits or ids."},
        }
    ),
    "OpenAIError": object_schema(
        {
            "error": object_schema(
                {
                    "message": {"type": "string", "description": "An explanation for people."},
                    "type": {"type": "string", "description": "The kind of error, such as `invalid_request_error`."},
                    "param": {"type": ["string", "null"], "description": "The parameter that is wrong."},
                    "code": {"type": ["string", "null"], "description": "A stable identifier for programs."},
                }
            )
        }
    ),
}  # fmt: skip
ERRORS = {
    400: "The request breaks a rule.",
    401: "The credentials are missing, wrong or expired.",
    403: "The caller may see the object, but not do this.",
    404: "There is no such object, or the caller may not see it.",
    409: "The state of the object does not allow this, such as `NOT_READY`.",
    413: "The body or a file is too large.",
    415: "The media type of the body is not accepted.",
    416: "No byte of the file is in the requested range.",
    422: "A field of the body breaks a rule; `detail` names it.",
    429: "A rate limit is exceeded.",
    500: "An internal error; the server's log has it under the request's id.",
    502: "The model server failed.",
    503: "A required service does not respond; try again.",
    504: "The model server did not respond in time.",
}
RETRY_AFTER = header("The time to wait in seconds.", {"type": "integer", "minimum": 0})
ERROR_HEADERS: Mapping[int, Json] = {
    416: {"Content-Range": header("The size of the file: `bytes */1234`.")},
    429: {"Retry-After": RETRY_AFTER},
    503: {"Retry-After": RETRY_AFTER},
}
REQUEST_ID = {"x-request-id": {"$ref": "#/components/headers/x-request-id"}}
