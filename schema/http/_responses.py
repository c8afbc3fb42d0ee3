"""Responses: content negotiation, and the HTTP status of a result in each media type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from strawberry.types.execution import ExecutionResult

from domain.errors import INTERNAL_MESSAGE
from edge import event_streams
from schema.execution import encode_json
from schema.http._requests import JSON_TYPE, RequestError

GRAPHQL_TYPE = "application/graphql-response+json"
EVENTS_TYPE = event_streams.MEDIA_TYPE

STATUS_BY_CODE: Mapping[str, int] = {
    "BAD_USER_INPUT": 400,
    "QUERY_TOO_COMPLEX": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "RATE_LIMITED": 429,
    "UNAVAILABLE": 503,
    "INTERNAL": 500,
}
"""The status of a request that was not executed, by `extensions.code` of its error."""


@dataclass(frozen=True, slots=True)
class AcceptedTypes:
    """The outcome of content negotiation.

    `media_type` is that of a single response; `json` says whether the client accepts plain JSON, `streams` whether it
    accepts an event stream too, `only_streams` whether it prefers one to any other response.
    """

    media_type: str
    json: bool = True
    streams: bool = False
    only_streams: bool = False


JSON_ONLY = AcceptedTypes(JSON_TYPE)


def negotiate(header: str | None) -> AcceptedTypes:
    """The media types that an Accept header allows; raises `RequestError` (406) where none of ours is acceptable.

    A wildcard means plain JSON; the other two types must be named.
    """
    if header in {None, "", "*/*", JSON_TYPE}:
        return JSON_ONLY
    weights = dict(_media_range(media_range) for media_range in (header or "").split(","))
    json = weights.get(JSON_TYPE, weights.get("application/*", weights.get("*/*", 0.0)))
    graphql, events = weights.get(GRAPHQL_TYPE, 0.0), weights.get(EVENTS_TYPE, 0.0)
    if not max(json, graphql, events):
        message = f"Responses are {JSON_TYPE}, {GRAPHQL_TYPE} or {EVENTS_TYPE}: accept one of them."
        raise RequestError(406, message)
    media_type = GRAPHQL_TYPE if graphql and graphql >= json else JSON_TYPE
    return AcceptedTypes(media_type, json > 0, streams=events > 0, only_streams=events > max(json, graphql))


def _media_range(text: str) -> tuple[str, float]:
    """A media range and its weight."""
    media_range, *parameters = (part.strip().lower() for part in text.split(";"))
    weight = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
    try:
        return media_range, float(weight)
    except ValueError:
        return media_range, 0.0


def response_body(result: ExecutionResult) -> dict[str, Any]:
    """The JSON object of a result; a request error has no `data` at all."""
    body: dict[str, Any] = {} if is_request_error(result) else {"data": result.data}
    if result.errors:
        body["errors"] = [error.formatted for error in result.errors]
    if result.extensions:
        body["extensions"] = result.extensions
    return body


def is_request_error(result: ExecutionResult) -> bool:
    """Whether nothing was executed: the error of a field has a path, that of a request has none."""
    errors = result.errors or ()
    return result.data is None and bool(errors) and all(error.path is None for error in errors)


def result_response(result: ExecutionResult, media_type: str) -> Response:
    """The response with a result. In plain JSON its status is 200 for every well-formed request (GraphQL over HTTP)."""
    extensions = (result.errors[0].extensions or {}) if result.errors else {}
    headers, status = _headers(extensions), 200
    if is_request_error(result) and media_type == GRAPHQL_TYPE:
        status = STATUS_BY_CODE.get(str(extensions.get("code")), 400)
    return json_response(response_body(result), media_type, status, headers)


def error_response(error: RequestError, media_type: str, request_id: str) -> Response:
    """The response to what is not a GraphQL request."""
    body = {"errors": [error_entry(error, request_id)]}
    return json_response(body, media_type, error.status, error.headers)


def fallback_response(
    error: RequestError, accepted: AcceptedTypes, request_id: str, *, as_stream: bool
) -> Response:
    """The response at which a client sends the document instead of its hash.

    It has status 200 where the client accepts plain JSON, as some do not read the errors of other responses.
    """
    body = {"errors": [error_entry(error, request_id)]}
    if as_stream:
        events = event("next", body) + event("complete")
        return Response(events, headers=event_streams.HEADERS, media_type=EVENTS_TYPE)
    if accepted.json:
        return json_response(body, JSON_TYPE, 200, error.headers)
    return error_response(error, accepted.media_type, request_id)


def error_entry(error: RequestError, request_id: str) -> dict[str, Any]:
    """The entry of `errors` for what is not a GraphQL request."""
    return {"message": error.message, "extensions": {"code": error.code, "requestId": request_id}}


def internal_error_response(media_type: str, request_id: str) -> Response:
    """The response where the endpoint itself failed, which says nothing about the cause."""
    return error_response(RequestError(500, INTERNAL_MESSAGE, "INTERNAL"), media_type, request_id)


def json_response(body: dict[str, Any], media_type: str, status: int, headers: Mapping[str, str]) -> Response:
    """A response in JSON of this media type, which may not be cached."""
    all_headers = {"cache-control": "no-store", "content-type": f"{media_type}; charset=utf-8", **headers}
    return Response(encode_json(body), status, all_headers)


def _headers(extensions: Mapping[str, Any]) -> dict[str, str]:
    if "retryAfter" in extensions:
        return {"Retry-After": str(extensions["retryAfter"])}
    return {"WWW-Authenticate": "Bearer"} if extensions.get("code") == "UNAUTHENTICATED" else {}


def event(name: str, body: dict[str, Any] | None = None) -> str:
    """One event of a GraphQL stream: `next` with a result, or `complete`."""
    return event_streams.event(name, encode_json(body).decode() if body else "")
