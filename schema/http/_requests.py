"""Requests to the GraphQL endpoint: read within limits, and refused with one sentence each."""

from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request

from domain.errors import Invalid, LimitExceeded
from edge.bodies import UNCOMPRESSED_ONLY, read_body, require_uncompressed

MAX_BODY_BYTES = 262_144
MAX_JSON_DEPTH = 64
"""Objects and lists inside each other. graphql-core visits them recursively, until the stack is exhausted."""

JSON_TYPE = "application/json"


class RequestError(Exception):
    """A request that is not executed: its HTTP status, a sentence, `extensions.code`, and response headers."""

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


class PersistedQueryNotSupported(RequestError):
    """A request that names its document by a hash alone.

    At this message or code Apollo Client sends the document, and urql at the message.
    """

    def __init__(self) -> None:
        super().__init__(400, "PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED")


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """The parameters of one GraphQL request."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None
    extensions: dict[str, Any] | None


async def parse_request(request: Request) -> GraphQLRequest:
    """The GraphQL request of an HTTP request; raises `RequestError`."""
    if request.method == "POST":
        _require_json(request)
        body = await _read_body(request)
        return graphql_request(parse_json(body.removeprefix(BOM_UTF8)))  # which .NET's StreamWriter writes
    if request.method != "GET":
        message = "Send GraphQL by POST; queries also by GET."
        raise RequestError(405, message, headers={"Allow": "GET, POST"})
    return graphql_request(_query_parameters(request))


def _require_json(request: Request) -> None:
    """Raise `RequestError` unless the body is uncompressed JSON in UTF-8."""
    try:
        require_uncompressed(request.scope["headers"])
    except Invalid as error:
        raise RequestError(415, error.message, headers=UNCOMPRESSED_ONLY) from None
    content_type = request.headers.get("content-type", "")
    if content_type == JSON_TYPE:
        return
    media_type, _, parameters = content_type.lower().partition(";")
    if media_type.strip() == "multipart/form-data":
        message = "Files are uploaded over REST; the body of a GraphQL request is application/json."
        raise RequestError(415, message)
    if media_type.strip() != JSON_TYPE:
        message = "The body of a GraphQL request is JSON: send `content-type: application/json`."
        raise RequestError(415, message)
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
    if charset not in {"", "utf-8", "utf8"}:
        raise RequestError(415, "The body of a GraphQL request is encoded as UTF-8.")


async def _read_body(request: Request) -> bytes:
    try:
        return await read_body(request.scope, request.receive, MAX_BODY_BYTES)
    except LimitExceeded as error:
        raise RequestError(413, error.message) from None


def _query_parameters(request: Request) -> dict[str, Any]:
    """The parameters of a GET request, two of which are JSON."""
    parameters: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if parameters.get(name):
            parameters[name] = parse_json(parameters[name].encode(errors="replace"), f"`{name}`")
    return parameters


def parse_json(text: bytes | str, what: str = "The body") -> Any:
    """The value of a JSON text; raises `RequestError`, also where objects and lists are nested too deeply.

    `what` names the text in the error's message.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"{what} is not JSON that can be read: {error.msg}.") from None
    if _brackets(text) > MAX_JSON_DEPTH and _is_deeper(value, MAX_JSON_DEPTH):
        raise RequestError(400, f"{what} nests objects and lists more than {MAX_JSON_DEPTH} deep.")
    return value


def _brackets(text: bytes | str) -> int:
    """The number of opening brackets: an upper bound of the depth that is cheap to compute."""
    return text.count("{") + text.count("[") if isinstance(text, str) else text.count(b"{") + text.count(b"[")


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether a value has more levels than `depth`; found level by level, as recursion may exhaust the stack."""
    level = [value]
    for _ in range(depth):
        level = [inner for outer in level for inner in _children(outer) if isinstance(inner, dict | list)]
    return bool(level)


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def graphql_request(parameters: Any) -> GraphQLRequest:
    """The GraphQL request that a JSON value is; raises `RequestError`.

    Empty text is as good as null: some clients send it for an operation without a name or variables.
    """
    if isinstance(parameters, list):
        raise RequestError(400, "Operations are not taken in batches: send one request for each.")
    if not isinstance(parameters, dict):
        raise RequestError(400, "A GraphQL request is a JSON object.")
    extensions = _optional_parameter(parameters, "extensions", dict, "an object")
    return GraphQLRequest(
        _query(parameters, extensions or {}),
        _optional_parameter(parameters, "variables", dict, "an object"),
        _optional_parameter(parameters, "operationName", str, "text"),
        extensions,
    )


def _query(parameters: dict[str, Any], extensions: dict[str, Any]) -> str:
    """The document of a request; raises `RequestError`."""
    query = parameters.get("query")
    if query in (None, "") and isinstance(extensions.get("persistedQuery"), dict):
        raise PersistedQueryNotSupported
    if not isinstance(query, str) or not query:
        raise RequestError(400, "A GraphQL request has a `query`, which is text.")
    return query


def _optional_parameter(parameters: dict[str, Any], name: str, kind: type, description: str) -> Any:
    value = parameters.get(name)
    if value == "":
        return None
    if value is not None and not isinstance(value, kind):
        raise RequestError(400, f"`{name}` is {description} or null.")
    return value
