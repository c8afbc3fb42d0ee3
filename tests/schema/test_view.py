"""The endpoint over HTTP: what it takes, what it refuses before anything runs, and how it answers."""

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
from schema.http._requests import JSON, MAX_BODY, MAX_NESTING, Refused, decoded
from schema.http._responses import GRAPHQL, accepted, answer
from schema.http._view import GraphQLView
from tests.clients import Api

pytestmark = pytest.mark.anyio

TYPENAME = {"query": "{ __typename }"}


def refused(reply: httpx.Response, status: int) -> str:
    """The one sentence of a refusal, which is JSON with a code and the request's id, and nothing else."""
    assert reply.status_code == status, reply.text
    body = reply.json()
    assert list(body) == ["errors"]
    (error,) = body["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "requestId": reply.headers["x-request-id"]}
    assert reply.headers["cache-control"] == "no-store"
    return str(error["message"])


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (f"{JSON}; charset=utf-8", JSON),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}, {JSON}", GRAPHQL),
        (f"{GRAPHQL};q=0.5, {JSON}", JSON),
        (f"{GRAPHQL};q=0.5, {JSON};q=0.4, */*;q=0.1", GRAPHQL),
        (f"text/html, {GRAPHQL}", GRAPHQL),
        (f"{GRAPHQL}, {JSON}, text/event-stream, multipart/mixed", GRAPHQL),
    ],
)
async def test_the_answer_has_the_type_that_is_accepted_most(
    anonymous: httpx.AsyncClient, accept: str | None, media: str
) -> None:
    del anonymous.headers["accept"]
    headers = {} if accept is None else {"accept": accept}
    reply = await anonymous.post("/graphql", json=TYPENAME, headers=headers)
    assert (reply.status_code, reply.headers["content-type"]) == (200, f"{media}; charset=utf-8")
    assert reply.json() == {"data": {"__typename": "Query"}} | _extensions(reply)


def _extensions(reply: httpx.Response) -> dict[str, Any]:
    body = reply.json()
    return {"extensions": body["extensions"]} if "extensions" in body else {}


@pytest.mark.parametrize("accept", ["text/html", f"{JSON};q=0", "*/*;q=nonsense", "image/png, text/*"])
async def test_what_is_not_served_is_not_acceptable(anonymous: httpx.AsyncClient, accept: str) -> None:
    reply = await anonymous.post("/graphql", json=TYPENAME, headers={"accept": accept})
    assert JSON in refused(reply, 406)


@given(st.text(max_size=60))
def test_any_accept_header_is_understood_or_refused(header: str) -> None:
    with suppress(Refused):
        assert accepted(header).media in {JSON, GRAPHQL}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "JSON"),
        (b"not json", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"query": "{ __typename }", "variables": {"x": %s}}' % (b"9" * 6_000), "JSON"),
        (b'{"query": "{ __typename }", "variables": {"x": NaN}}', "JSON"),
        (b'{"query": "\xff"}', "JSON"),
        (b'{"query": "\\ud800"}', "JSON"),
        (b'\xef\xbb\xbf{"query": "{ __typename }"}', "JSON"),
        (b'{"query": "{ __typename }"} more', "JSON"),
        (
            b'{"query": "{ __typename }", "variables": {"x": %s}}' % (b"[" * 900 + b"]" * 900),
            f"more than {MAX_NESTING} deep",
        ),
        (b'"text"', "JSON object"),
        (b"null", "JSON object"),
        (b'[{"query": "{ __typename }"}]', "batches"),
        (b"{}", "`query`"),
        (b'{"query": 1}', "`query`"),
        (b'{"query": ""}', "`query`"),
        (b'{"query": "{ __typename }", "variables": []}', "`variables`"),
        (b'{"query": "{ __typename }", "operationName": {}}', "`operationName`"),
        (b'{"query": "{ __typename }", "extensions": "x"}', "`extensions`"),
        (b'{"query": "{ __typename }", "operationName": "Other"}', "Other"),
    ],
)
async def test_a_body_that_is_no_request_is_refused_with_a_sentence(
    anonymous: httpx.AsyncClient, content: bytes, says: str
) -> None:
    for accept in (JSON, GRAPHQL):
        headers = {"content-type": JSON, "accept": accept}
        reply = await anonymous.post("/graphql", content=content, headers=headers)
        assert says in refused(reply, 400)
        assert reply.headers["content-type"].startswith(accept)


async def test_of_a_key_that_stands_twice_the_last_counts(anonymous: httpx.AsyncClient) -> None:
    content = b'{"query": "{ other }", "query": "{ __typename }"}'
    reply = await anonymous.post("/graphql", content=content, headers={"content-type": JSON})
    assert reply.json()["data"] == {"__typename": "Query"}


@given(st.integers(0, MAX_NESTING * 2), st.booleans())
def test_json_may_nest_so_deep_and_no_deeper(depth: int, is_object: bool) -> None:
    opened, closed = ('{"a":', "}") if is_object else ("[", "]")
    text = opened * depth + "0" + closed * depth
    if depth > MAX_NESTING:
        with pytest.raises(Refused):
            decoded(text)
    else:
        assert decoded(text) == json.loads(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters()),
        lambda it: st.lists(it, max_size=3),
    )
)
def test_whatever_is_answered_is_json(value: Any) -> None:
    assert json.loads(encoded({"data": value})) == {"data": value}


async def test_brackets_within_text_are_no_nesting(anonymous: httpx.AsyncClient) -> None:
    query = "query($name: String!) { __type(name: $name) { name } }"
    reply = await anonymous.post("/graphql", json={"query": query, "variables": {"name": "[{" * 5_000}})
    assert reply.json()["data"] == {"__type": None}


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "content-type"),
        ({"content-type": "text/plain"}, "content-type"),
        ({"content-type": "application/jsonp"}, "content-type"),
        ({"content-type": "application/x-www-form-urlencoded"}, "content-type"),
        ({"content-type": "multipart/form-data; boundary=x"}, "REST"),
        ({"content-type": "application/json; charset=utf-16"}, "UTF-8"),
        ({"content-type": JSON, "content-encoding": "gzip"}, "compressed"),
    ],
)
async def test_a_body_of_another_kind_is_refused(
    anonymous: httpx.AsyncClient, headers: dict[str, str], says: str
) -> None:
    reply = await anonymous.post("/graphql", content=json.dumps(TYPENAME).encode(), headers=headers)
    assert says in refused(reply, 415)


async def test_a_body_that_says_it_is_too_large_is_not_even_read(anonymous: httpx.AsyncClient) -> None:
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"{}"

    for length in (str(MAX_BODY + 1), "9" * 5_000):
        headers = {"content-type": JSON, "content-length": length}
        reply = await anonymous.post("/graphql", content=body(), headers=headers)
        assert f"{MAX_BODY:,}" in refused(reply, 413)
    assert not read


async def test_a_body_that_grows_too_large_is_refused_on_the_way(anonymous: httpx.AsyncClient) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 65_536
            yield b" " * 65_536

    reply = await anonymous.post("/graphql", content=body(), headers={"content-type": JSON})
    assert f"{MAX_BODY:,}" in refused(reply, 413)
    assert sent <= MAX_BODY + 2 * 65_536


async def test_a_query_may_be_a_link_and_a_change_may_not(api: Api) -> None:
    asked = {"query": "query($id: ID!) { node(id: $id) { id } }", "variables": json.dumps({"id": "x"})}
    reply = await api.rest.get("/graphql", params=asked)
    assert (reply.status_code, reply.json()["data"]) == (200, {"node": None})
    create = 'mutation { createProject(input: {name: "by link"}) { project { id } } }'
    reply = await api.rest.get("/graphql", params={"query": create})
    assert "POST" in refused(reply, 405)
    assert reply.headers["allow"] == "POST"
    assert (await api.gql("{ projects { totalCount } }"))["projects"] == {"totalCount": 0}
    for wrong in ({}, {"query": ""}, {"query": "{ __typename }", "variables": "{"}):
        refused(await api.rest.get("/graphql", params=wrong), 400)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_other_methods_are_not_allowed(anonymous: httpx.AsyncClient, method: str) -> None:
    reply = await anonymous.request(method, "/graphql")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("query", ["{", "{ nothing }", "query($id: ID!) { node(id: $id) { id } }"])
async def test_a_request_that_is_refused_as_a_whole_has_no_data(
    anonymous: httpx.AsyncClient, query: str
) -> None:
    for accept, status in ((JSON, 200), (GRAPHQL, 400)):
        reply = await anonymous.post("/graphql", json={"query": query}, headers={"accept": accept})
        assert reply.status_code == status
        assert "data" not in reply.json()
        assert reply.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_an_error_of_a_field_leaves_the_rest_and_the_status(anonymous: httpx.AsyncClient) -> None:
    query = '{ __typename job(id: "x") { id } }'
    reply = await anonymous.post("/graphql", json={"query": query}, headers={"accept": GRAPHQL})
    assert reply.status_code == 200
    assert "data" in reply.json()
    assert [it["extensions"]["code"] for it in reply.json()["errors"]] == ["UNAUTHENTICATED"]


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
def test_the_code_of_a_refused_request_decides_the_status(
    extensions: dict[str, Any], status: int, header: tuple[str, str] | None
) -> None:
    error = GraphQLError("No.", extensions=extensions)
    reply = answer(ExecutionResult(data=None, errors=[error]), GRAPHQL)
    assert reply.status_code == status
    assert header is None or reply.headers[header[0]] == header[1]
    assert orjson.loads(reply.body) == {"errors": [{"message": "No.", "extensions": extensions}]}
    assert answer(ExecutionResult(data=None, errors=[error]), JSON).status_code == 200
    at_a_field = GraphQLError("No.", path=["field"], extensions=extensions)
    assert answer(ExecutionResult(data=None, errors=[at_a_field]), GRAPHQL).status_code == 200


async def test_a_fault_of_the_endpoint_is_masked_and_logged(
    anonymous: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> Context:
        raise RuntimeError("the inside of Luthier")

    monkeypatch.setattr(GraphQLView, "get_context", broken)
    reply = await anonymous.post("/graphql", json=TYPENAME, headers={"x-request-id": "r-1"})
    assert reply.status_code == 500
    (error,) = reply.json()["errors"]
    assert error["extensions"] == {"code": "INTERNAL", "requestId": "r-1"}
    assert "the inside" not in reply.text
    (record,) = [it for it in caplog.records if it.name == "schema.http._view"]
    assert (vars(record)["request_id"], "the inside of Luthier" in caplog.text) == ("r-1", True)


async def test_a_token_of_another_kind_is_nobodys(api: Api, services: Services) -> None:
    ticket, _ = services.tokens.ticket(api.user_id, "/graphql")
    for token in ("garbage", ticket, "x" * 50_000, f"{api.token}x"):
        headers = {"authorization": f"Bearer {token}"}
        reply = await api.rest.post(
            "/graphql", json={"query": "{ projects { totalCount } }"}, headers=headers
        )
        assert reply.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
