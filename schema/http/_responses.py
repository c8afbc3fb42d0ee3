"""How an answer is sent: in the media type that was asked for, with the status that this type gives it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from strawberry.types.execution import ExecutionResult

from edge import event_streams
from schema.execution import encode_json
from schema.http._requests import JSON, Refused
from schema.shared.errors import MASKED

GRAPHQL = "application/graphql-response+json"
EVENTS = "text/event-stream"


STATUS: Mapping[str, int] = {
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
"""The status of a request that was refused as a whole, by its error's code."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the caller reads: `media` for one answer; `streams` for events too, `only_streams` for nothing else."""

    media: str
    streams: bool = False
    only_streams: bool = False


PLAIN = Accepted(JSON)


def accepted(header: str | None) -> Accepted:
    """What an Accept header asks for; raises `Refused` where we have nothing of it.

    A wildcard is answered as plain JSON; the other two types are for those who name them.
    """
    if header in {None, "", "*/*", JSON}:
        return PLAIN
    wanted = dict(_range(it) for it in (header or "").split(","))
    plain = wanted.get(JSON, wanted.get("application/*", wanted.get("*/*", 0.0)))
    exact, events = wanted.get(GRAPHQL, 0.0), wanted.get(EVENTS, 0.0)
    if not max(plain, exact, events):
        raise Refused(406, f"Answers are {JSON}, {GRAPHQL} or {EVENTS}: accept one of them.")
    media = GRAPHQL if exact and exact >= plain else JSON
    return Accepted(media, streams=events > 0, only_streams=events > max(plain, exact))


def _range(text: str) -> tuple[str, float]:
    """A media range and its weight."""
    media, *parameters = (it.strip().lower() for it in text.split(";"))
    weight = next((it[2:] for it in parameters if it.startswith("q=")), "1")
    try:
        return media, float(weight)
    except ValueError:
        return media, 0.0


def body_of(result: ExecutionResult) -> dict[str, Any]:
    """The answer; a request that was refused as a whole has no `data` at all."""
    body: dict[str, Any] = {} if refused_whole(result) else {"data": result.data}
    if result.errors:
        body["errors"] = [it.formatted for it in result.errors]
    if result.extensions:
        body["extensions"] = result.extensions
    return body


def refused_whole(result: ExecutionResult) -> bool:
    """Whether nothing was executed: an error of a field has a path, one of the request has none."""
    return result.data is None and bool(result.errors) and all(it.path is None for it in result.errors or ())


def answer(result: ExecutionResult, media: str) -> Response:
    """The answer to one operation. Under plain JSON whatever was asked properly is 200, as its specification says."""
    extensions = (result.errors[0].extensions or {}) if result.errors else {}
    headers, status = _headers(extensions), 200
    if refused_whole(result) and media == GRAPHQL:
        status = STATUS.get(str(extensions.get("code")), 400)
    return encoded(body_of(result), media, status, headers)


def refusal(refused: Refused, media: str, request_id: str) -> Response:
    """The answer to what is no GraphQL request."""
    error = {"message": refused.message, "extensions": {"code": refused.code, "requestId": request_id}}
    return encoded({"errors": [error]}, media, refused.status, refused.headers)


def failure(media: str, request_id: str) -> Response:
    """The answer where we are at fault, without its inside."""
    return refusal(Refused(500, MASKED, "INTERNAL"), media, request_id)


def encoded(body: dict[str, Any], media: str, status: int, headers: Mapping[str, str]) -> Response:
    """JSON of this media type, which nobody keeps."""
    given = {"cache-control": "no-store", "content-type": f"{media}; charset=utf-8", **headers}
    return Response(encode_json(body), status, given)


def _headers(extensions: Mapping[str, Any]) -> dict[str, str]:
    if "retryAfter" in extensions:
        return {"Retry-After": str(extensions["retryAfter"])}
    return {"WWW-Authenticate": "Bearer"} if extensions.get("code") == "UNAUTHENTICATED" else {}


def event(name: str, body: dict[str, Any] | None = None) -> str:
    """One event of a GraphQL stream: `next` with an answer, or `complete`."""
    return event_streams.event(name, encode_json(body).decode() if body else "")
