"""What is asked of the GraphQL endpoint: read with bounds, and refused with one sentence."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request

from domain.errors import LimitExceeded
from edge.bodies import read_body

MAX_BODY = 262_144
MAX_NESTING = 64
"""How many objects and lists may be inside each other; graphql-core would follow them until its stack ends."""


JSON = "application/json"


class Refused(Exception):
    """A request that is not executed: its HTTP status, one sentence, a code and headers."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str = "BAD_USER_INPUT",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """One operation, as it was asked for."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None
    extensions: dict[str, Any] | None


async def request_of(request: Request) -> GraphQLRequest:
    """The operation that a request asks for; raises `Refused`."""
    if request.method == "POST":
        _accept_type(request)
        return asked(decoded(await _body(request)))
    if request.method != "GET":
        raise Refused(405, "GraphQL is asked by POST; queries also by GET.", headers={"Allow": "GET, POST"})
    return asked(_parameters(request))


def _accept_type(request: Request) -> None:
    """Raises `Refused` for a body that is not plain JSON in UTF-8."""
    given = request.headers.get("content-type", "")
    if given == JSON and "content-encoding" not in request.headers:
        return
    kind, _, parameters = given.lower().partition(";")
    if kind.strip() == "multipart/form-data":
        raise Refused(415, "Files are uploaded over REST; the body of a GraphQL request is application/json.")
    if kind.strip() != JSON:
        raise Refused(415, "The body of a GraphQL request is JSON: send `content-type: application/json`.")
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
    if charset not in {"", "utf-8", "utf8"}:
        raise Refused(415, "The body of a GraphQL request is encoded as UTF-8.")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refused(
            415, "The body of a GraphQL request is not compressed.", headers={"Accept-Encoding": "identity"}
        )


async def _body(request: Request) -> bytes:
    try:
        return await read_body(request.scope, request.receive, MAX_BODY)
    except LimitExceeded as error:
        raise Refused(413, error.message) from None


def _parameters(request: Request) -> dict[str, Any]:
    """What a GET asks for; two of its parameters are JSON."""
    given: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if name in given:
            given[name] = decoded(given[name].encode(errors="replace"), f"`{name}`")
    return given


def decoded(text: bytes | str, what: str = "The body") -> Any:
    """JSON that is not nested too deeply; raises `Refused`."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"{what} is not JSON that can be read: {error.msg}.") from None
    if _brackets(text) > MAX_NESTING and _is_deeper(value, MAX_NESTING):
        raise Refused(400, f"{what} nests objects and lists more than {MAX_NESTING} deep.")
    return value


def _brackets(text: bytes | str) -> int:
    """No fewer than the levels there are, for a small price."""
    return text.count("{") + text.count("[") if isinstance(text, str) else text.count(b"{") + text.count(b"[")


def _is_deeper(value: Any, most: int) -> bool:
    """Whether there are more levels than that; level by level, so that no depth can exhaust the stack."""
    level = [value]
    for _ in range(most):
        level = [inner for it in level for inner in _within(it) if isinstance(inner, dict | list)]
    return bool(level)


def _within(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def asked(given: Any) -> GraphQLRequest:
    """The operation that a request's JSON asks for; raises `Refused`."""
    if isinstance(given, list):
        raise Refused(400, "Operations are not taken in batches: send one request for each.")
    if not isinstance(given, dict):
        raise Refused(400, "A GraphQL request is a JSON object.")
    query = given.get("query")
    if not isinstance(query, str) or not query:
        raise Refused(400, "A GraphQL request has a `query`, which is text.")
    return GraphQLRequest(
        query,
        _one(given, "variables", dict, "an object"),
        _one(given, "operationName", str, "text"),
        _one(given, "extensions", dict, "an object"),
    )


def _one(given: dict[str, Any], name: str, kind: type, words: str) -> Any:
    value = given.get(name)
    if value is not None and not isinstance(value, kind):
        raise Refused(400, f"`{name}` is {words} or null.")
    return value
