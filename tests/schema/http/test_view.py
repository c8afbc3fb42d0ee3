"""The endpoint over HTTP: requests that it accepts and refuses, and its responses."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import orjson
import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st
from strawberry.types.execution import ExecutionResult

from domain.services import Services
from resolvers.context import Context
from schema.execution import encode_json as encoded
from schema.http._requests import JSON_TYPE, MAX_BODY_BYTES, MAX_JSON_DEPTH, RequestError, parse_json
from schema.http._responses import GRAPHQL_TYPE, negotiate, result_response
from schema.http._view import GraphQLView
from tests.clients import Api

pytestmark = pytest.mark.anyio

TYPENAME = {"query": "{ __typename }"}


def refused(response: httpx.Response, status: int) -> str:
    """The message of a request error, whose body is one error with a code and the request's id."""
    assert response.status_code == status, response.text
    body = response.json()
    assert list(body) == ["errors"]
    (error,) = body["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "requestId": response.headers["x-request-id"]}
    assert response.headers["cache-control"] == "no-store"
    return str(error["message"])


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, JSON_TYPE),
        ("*/*", JSON_TYPE),
        ("application/*", JSON_TYPE),
        (JSON_TYPE, JSON_TYPE),
        (f"{JSON_TYPE}; charset=utf-8", JSON_TYPE),
        (GRAPHQL_TYPE, GRAPHQL_TYPE),
        (f"{GRAPHQL_TYPE}, {JSON_TYPE}", GRAPHQL_TYPE),
        (f"{GRAPHQL_TYPE};q=0.5, {JSON_TYPE}", JSON_TYPE),
        (f"{GRAPHQL_TYPE};q=0.5, {JSON_TYPE};q=0.4, */*;q=0.1", GRAPHQL_TYPE),
        (f"text/html, {GRAPHQL_TYPE}", GRAPHQL_TYPE),
        (f"{GRAPHQL_TYPE}, {JSON_TYPE}, text/event-stream, multipart/mixed", GRAPHQL_TYPE),
    ],
)
async def test_the_response_has_the_preferred_media_type(
    anonymous: httpx.AsyncClient, accept: str | None, media: str
) -> None:
    del anonymous.headers["accept"]
    headers = {} if accept is None else {"accept": accept}
    response = await anonymous.post("/graphql", json=TYPENAME, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (200, f"{media}; charset=utf-8")
    assert response.json() == {"data": {"__typename": "Query"}} | _extensions(response)


def _extensions(response: httpx.Response) -> dict[str, Any]:
    body = response.json()
    return {"extensions": body["extensions"]} if "extensions" in body else {}


@pytest.mark.parametrize("accept", ["text/html", f"{JSON_TYPE};q=0", "*/*;q=nonsense", "image/png, text/*"])
async def test_other_media_types_are_not_acceptable(anonymous: httpx.AsyncClient, accept: str) -> None:
    response = await anonymous.post("/graphql", json=TYPENAME, headers={"accept": accept})
    assert JSON_TYPE in refused(response, 406)


@given(st.text(max_size=60))
def test_any_accept_header_is_negotiated_or_refused(header: str) -> None:
    with suppress(RequestError):
        assert negotiate(header).media_type in {JSON_TYPE, GRAPHQL_TYPE}


@pytest.mark.parametrize(
    ("content", "message_part"),
    [
        (b"", "JSON"),
        (b"not json", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"query": "{ __typename }", "variables": {"x": %s}}' % (b"9" * 6_000), "JSON"),
        (b'{"query": "{ __typename }", "variables": {"x": NaN}}', "JSON"),
        (b'{"query": "\xff"}', "JSON"),
        (b'{"query": "\\ud800"}', "JSON"),
        (b'{"query": "{ __typename }"} more', "JSON"),
        (
            b'{"query": "{ __typename }", "variables": {"x": %s}}' % (b"[" * 900 + b"]" * 900),
            f"more than {MAX_JSON_DEPTH} deep",
        ),
        (b'"text"', "JSON object"),
        (b"null", "JSON object"),
        (b'[{"query": "{ __typename }"}]', "batches"),
        (b"{}", "`query`"),
        (b'{"query": 1}', "`query`"),
        (b'{"query": ""}', "`query`"),
        (b'{"query": [], "extensions": {"persistedQuery": {}}}', "`query`"),
        (b'{"query": "", "extensions": {"persistedQuery": null}}', "`query`"),
        (b'{"extensions": {"persistedQuery": "5f2a"}}', "`query`"),
        (b'{"query": "{ __typename }", "variables": []}', "`variables`"),
        (b'{"query": "{ __typename }", "operationName": {}}', "`operationName`"),
        (b'{"query": "{ __typename }", "extensions": "x"}', "`extensions`"),
        (b'{"query": "{ __typename }", "operationName": "Other"}', "Other"),
    ],
)
async def test_a_malformed_request_is_refused_with_a_sentence(
    anonymous: httpx.AsyncClient, content: bytes, message_part: str
) -> None:
    for accept in (JSON_TYPE, GRAPHQL_TYPE):
        headers = {"content-type": JSON_TYPE, "accept": accept}
        response = await anonymous.post("/graphql", content=content, headers=headers)
        assert message_part in refused(response, 400)
        assert response.headers["content-type"].startswith(accept)


async def test_of_duplicate_keys_the_last_counts(anonymous: httpx.AsyncClient) -> None:
    content = b'{"query": "{ other }", "query": "{ __typename }"}'
    response = await anonymous.post("/graphql", content=content, headers={"content-type": JSON_TYPE})
    assert response.json()["data"] == {"__typename": "Query"}


@given(st.integers(0, MAX_JSON_DEPTH * 2), st.booleans())
def test_the_depth_of_json_is_limited(depth: int, is_object: bool) -> None:
    opened, closed = ('{"a":', "}") if is_object else ("[", "]")
    text = opened * depth + "0" + closed * depth
    if depth > MAX_JSON_DEPTH:
        with pytest.raises(RequestError):
            parse_json(text)
    else:
        assert parse_json(text) == json.loads(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters()),
        lambda values: st.lists(values, max_size=3),
    )
)
def test_every_response_is_valid_json(value: Any) -> None:
    assert json.loads(encoded({"data": value})) == {"data": value}


async def test_brackets_in_strings_do_not_count_as_depth(anonymous: httpx.AsyncClient) -> None:
    query = "query($name: String!) { __type(name: $name) { name } }"
    response = await anonymous.post("/graphql", json={"query": query, "variables": {"name": "[{" * 5_000}})
    assert response.json()["data"] == {"__type": None}


async def test_a_byte_order_mark_before_the_body_is_ignored(anonymous: httpx.AsyncClient) -> None:
    content = b'\xef\xbb\xbf{"query": "{ __typename }"}'
    response = await anonymous.post("/graphql", content=content, headers={"content-type": JSON_TYPE})
    assert response.json()["data"] == {"__typename": "Query"}


@pytest.mark.parametrize(
    ("headers", "message_part"),
    [
        ({}, "content-type"),
        ({"content-type": "text/plain"}, "content-type"),
        ({"content-type": "application/jsonp"}, "content-type"),
        ({"content-type": "application/x-www-form-urlencoded"}, "content-type"),
        ({"content-type": "multipart/form-data; boundary=x"}, "REST"),
        ({"content-type": "application/json; charset=utf-16"}, "UTF-8"),
    ],
)
async def test_other_content_types_are_refused(
    anonymous: httpx.AsyncClient, headers: dict[str, str], message_part: str
) -> None:
    response = await anonymous.post("/graphql", content=json.dumps(TYPENAME).encode(), headers=headers)
    assert message_part in refused(response, 415)


@pytest.mark.parametrize(
    "coding", ["gzip", "GZIP", " Gzip", "identity, gzip", "br", "zstd", "deflate", "unknown"]
)
@pytest.mark.parametrize(
    "content_type", [JSON_TYPE, f"{JSON_TYPE}; charset=utf-8", "multipart/form-data", "x/y", ""]
)
async def test_a_compressed_body_is_refused(
    anonymous: httpx.AsyncClient, coding: str, content_type: str
) -> None:
    headers = {"content-type": content_type, "content-encoding": coding}
    response = await anonymous.post("/graphql", content=gzip.compress(b"{}"), headers=headers)
    assert "uncompressed" in refused(response, 415)
    assert response.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_a_body_without_a_coding_is_read(anonymous: httpx.AsyncClient, coding: str) -> None:
    response = await anonymous.post("/graphql", json=TYPENAME, headers={"content-encoding": coding})
    assert response.json()["data"] == {"__typename": "Query"}


async def test_a_body_with_a_content_length_above_the_limit_is_not_read(anonymous: httpx.AsyncClient) -> None:
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"{}"

    for length in (str(MAX_BODY_BYTES + 1), "9" * 5_000):
        headers = {"content-type": JSON_TYPE, "content-length": length}
        response = await anonymous.post("/graphql", content=body(), headers=headers)
        assert f"{MAX_BODY_BYTES:,}" in refused(response, 413)
    assert not read


async def test_a_streamed_body_is_refused_once_it_exceeds_the_limit(anonymous: httpx.AsyncClient) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 65_536
            yield b" " * 65_536

    response = await anonymous.post("/graphql", content=body(), headers={"content-type": JSON_TYPE})
    assert f"{MAX_BODY_BYTES:,}" in refused(response, 413)
    assert sent <= MAX_BODY_BYTES + 2 * 65_536


async def test_get_executes_queries_and_refuses_mutations(api: Api) -> None:
    params = {"query": "query($id: ID!) { node(id: $id) { id } }", "variables": json.dumps({"id": "x"})}
    response = await api.rest.get("/graphql", params=params)
    assert (response.status_code, response.json()["data"]) == (200, {"node": None})
    create = 'mutation { createProject(input: {name: "by link"}) { project { id } } }'
    response = await api.rest.get("/graphql", params={"query": create})
    assert "POST" in refused(response, 405)
    assert response.headers["allow"] == "POST"
    assert (await api.gql("{ projects { totalCount } }"))["projects"] == {"totalCount": 0}
    for wrong in ({}, {"query": ""}, {"query": "{ __typename }", "variables": "{"}):
        refused(await api.rest.get("/graphql", params=wrong), 400)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_other_methods_are_not_allowed(anonymous: httpx.AsyncClient, method: str) -> None:
    response = await anonymous.request(method, "/graphql")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("query", ["{", "{ nothing }", "query($id: ID!) { node(id: $id) { id } }"])
async def test_a_request_error_has_no_data(anonymous: httpx.AsyncClient, query: str) -> None:
    for accept, status in ((JSON_TYPE, 200), (GRAPHQL_TYPE, 400)):
        response = await anonymous.post("/graphql", json={"query": query}, headers={"accept": accept})
        assert response.status_code == status
        assert "data" not in response.json()
        assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_field_error_leaves_the_other_fields_and_the_status(anonymous: httpx.AsyncClient) -> None:
    query = '{ __typename job(id: "x") { id } }'
    response = await anonymous.post("/graphql", json={"query": query}, headers={"accept": GRAPHQL_TYPE})
    assert response.status_code == 200
    assert "data" in response.json()
    assert [error["extensions"]["code"] for error in response.json()["errors"]] == ["UNAUTHENTICATED"]


@pytest.mark.parametrize(
    ("extensions", "status", "header"),
    [
        ({"code": "RATE_LIMITED", "retryAfter": 7}, 429, ("retry-after", "7")),
        ({"code": "UNAUTHENTICATED"}, 401, ("www-authenticate", "Bearer")),
        ({"code": "FORBIDDEN"}, 403, None),
        ({"code": "QUERY_TOO_COMPLEX"}, 400, None),
        ({"code": "UNAVAILABLE"}, 503, None),
        ({"code": "INTERNAL"}, 500, None),
    ],
)
def test_the_code_of_a_request_error_determines_the_status(
    extensions: dict[str, Any], status: int, header: tuple[str, str] | None
) -> None:
    error = GraphQLError("No.", extensions=extensions)
    response = result_response(ExecutionResult(data=None, errors=[error]), GRAPHQL_TYPE)
    assert response.status_code == status
    assert header is None or response.headers[header[0]] == header[1]
    assert orjson.loads(response.body) == {"errors": [{"message": "No.", "extensions": extensions}]}
    assert result_response(ExecutionResult(data=None, errors=[error]), JSON_TYPE).status_code == 200
    at_a_field = GraphQLError("No.", path=["field"], extensions=extensions)
    assert result_response(ExecutionResult(data=None, errors=[at_a_field]), GRAPHQL_TYPE).status_code == 200


async def test_an_internal_error_of_the_endpoint_is_masked_and_logged(
    anonymous: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> Context:
        raise RuntimeError("the inside of Luthier")

    monkeypatch.setattr(GraphQLView, "get_context", broken)
    response = await anonymous.post("/graphql", json=TYPENAME, headers={"x-request-id": "r-1"})
    assert response.status_code == 500
    (error,) = response.json()["errors"]
    assert error["extensions"] == {"code": "INTERNAL", "requestId": "r-1"}
    assert "the inside" not in response.text
    (record,) = [record for record in caplog.records if record.name == "schema.http._view"]
    assert (vars(record)["request_id"], "the inside of Luthier" in caplog.text) == ("r-1", True)


async def test_invalid_tokens_are_unauthenticated(api: Api, services: Services) -> None:
    ticket, _ = services.tokens.ticket(api.user_id, "/graphql")
    for token in ("garbage", ticket, "x" * 50_000, f"{api.token}x"):
        headers = {"authorization": f"Bearer {token}"}
        response = await api.rest.post(
            "/graphql", json={"query": "{ projects { totalCount } }"}, headers=headers
        )
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
