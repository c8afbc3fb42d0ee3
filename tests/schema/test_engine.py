"""Operations over each transport: syntax errors, operation names, limits, timeouts and internal errors."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from graphql import get_introspection_query
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from strawberry.types.graphql import OperationType

from app.wiring import Wiring
from domain.errors import DomainError, ErrorCode
from domain.services import Services
from schema import engine
from schema.admission._weights import INTROSPECTION_COST
from schema.shared.errors import EXTENSION_CODES
from tests.clients import Api
from tests.jobs import queued_job, start_job, succeed
from tests.schema.admission.attacks import IDS, nested
from tests.schema.transports import JOB_EVENTS, websocket

pytestmark = pytest.mark.anyio


async def test_a_syntax_error_has_a_code_and_the_requests_id(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.post("/graphql", json={"query": "{"}, headers={"x-request-id": "r-1"})
    (error,) = response.json()["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "requestId": "r-1"}
    assert error["message"].startswith("Syntax Error")


async def test_a_syntax_error_ends_an_event_stream_with_an_error(live: str, api: Api) -> None:
    headers = {"authorization": f"Bearer {api.token}", "accept": "text/event-stream"}
    async with httpx.AsyncClient(base_url=live, headers=headers) as rest:
        response = await rest.post("/graphql", json={"query": "{"})
    data = next(line for line in response.text.splitlines() if line.startswith("data: {"))
    assert json.loads(data.removeprefix("data: "))["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_syntax_error_is_sent_over_a_websocket(live: str, api: Api) -> None:
    async with websocket(live, {"authorization": f"Bearer {api.token}"}) as socket:
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": "{"}}))
        message = json.loads(await socket.recv())
    assert message["type"] in {"error", "next"}
    assert "Syntax Error" in json.dumps(message["payload"])


async def test_a_subscription_over_plain_http_says_how_to_subscribe(api: Api) -> None:
    body = await api.raw('subscription { jobEvents(jobId: "job_x") { cursor } }')
    assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert "text/event-stream" in body["errors"][0]["message"]


async def test_a_document_with_several_operations_needs_an_operation_name(api: Api) -> None:
    document = "query A { viewer { id } } query B { health { version } }"
    body = await api.raw(document)
    assert "Must provide operation name" in body["errors"][0]["message"]
    response = await api.rest.post("/graphql", json={"query": document, "operationName": "A"})
    assert response.json()["data"] == {"viewer": {"id": api.user_id}}


@pytest.mark.parametrize("body", [b"not json", b'"text"', b"[]", b"[" * 100_000, b"null", b'{"query": 1}'])
async def test_a_malformed_body_is_answered_with_a_json_error(
    anonymous: httpx.AsyncClient, body: bytes
) -> None:
    response = await anonymous.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.post("/graphql", json={"query": "#" * 300_000})
    assert response.status_code == 413


async def test_an_internal_error_of_a_resolver_is_masked_and_logged(
    api: Api, services: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_path: str, *_rest: Any) -> None:
        raise RuntimeError("the inside of Luthier")

    monkeypatch.setattr(type(services.tokens), "ticket", broken)
    body = await api.raw('{ ticket(path: "/api/x") { ticket } }')
    assert body["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "the inside" not in json.dumps(body)
    assert "the inside of Luthier" in caplog.text


async def test_a_limit_error_names_the_limit_and_a_remedy(anonymous: httpx.AsyncClient) -> None:
    document = "{ projects(first: 100) { nodes { datasets(first: 100) { nodes { id } } } } }"
    response = await anonymous.post("/graphql", json={"query": document}, headers={"x-request-id": "r-1"})
    body, cost = response.json(), 1 + 100 * 102
    assert "data" not in body
    assert body["extensions"] == {"cost": cost}
    (error,) = body["errors"]
    assert error["extensions"] == {
        "code": "QUERY_TOO_COMPLEX", "reason": "TOO_EXPENSIVE", "limit": 5_000, "actual": cost, "requestId": "r-1",
    }  # fmt: skip
    assert error["message"].endswith("ask for smaller pages or fewer fields, or in several requests.")


async def test_every_response_reports_its_cost(api: Api) -> None:
    assert (await api.raw("{ viewer { id } }"))["extensions"] == {"cost": 1}
    assert (await api.raw("{ __typename }"))["extensions"] == {"cost": 0}
    assert (await api.raw("{ viewer { id } projects(first: 0) { totalCount } }"))["extensions"] == {"cost": 2}
    mutation = "mutation($id: ID!) { deleteProject(input: {id: $id}) { deletedId userErrors { code } } }"
    assert (await api.raw(mutation, id="x"))["extensions"] == {"cost": 11}
    assert not (await api.raw("{")).get("extensions")


async def streamed(rest: httpx.AsyncClient, document: str, **variables: Any) -> list[dict[str, Any]]:
    """The results of an operation over server-sent events."""
    body = {"query": document, "variables": variables}
    response = await rest.post("/graphql", json=body, headers={"accept": "text/event-stream"})
    lines = (line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {"))
    return [json.loads(line) for line in lines]


async def test_a_subscription_costs_and_is_limited_like_a_query(api: Api, services: Services) -> None:
    job = await queued_job(api, services)
    await succeed(services, await start_job(services, job.id))
    results = await streamed(api.rest, JOB_EVENTS, id=job.id, after=None)
    assert {result["extensions"]["cost"] for result in results} == {1}
    deep = "subscription { jobEvents(jobId: " + f'"{job.id}"' + ") " + nested(20) + "}"
    (refused,) = await streamed(api.rest, deep)
    assert refused["errors"][0]["extensions"]["reason"] == "TOO_DEEP"


async def test_a_limit_error_is_sent_over_a_websocket(live: str, api: Api) -> None:
    async with websocket(live, {"authorization": f"Bearer {api.token}"}) as socket:
        for query, reason in (
            (nested(20), "TOO_DEEP"),
            ("{ a" * 2_000, "TOO_DEEP"),
            (f"{{ {'a ' * 300} }}", "TOO_MANY_ROOT_FIELDS"),
        ):
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}))
            message = json.loads(await socket.recv())
            assert message["type"] == "error"
            assert message["payload"][0]["extensions"]["code"] == "QUERY_TOO_COMPLEX"
            assert message["payload"][0]["extensions"]["reason"] == reason


NUMBER = "query($n: Int) { projects(first: $n) { totalCount } }"


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        (NUMBER, '{"n": %s}' % ("9" * 6_000)),
        (NUMBER, '{"n": -1}'),
        (NUMBER, '{"n": 1000000}'),
        (NUMBER, '{"n": 1e6}'),
        (NUMBER, '{"n": 1e400}'),
        (IDS, '{"ids": %s}' % ("[" * 9 + "1" + "]" * 9)),
        ("{ projects(first: 1e6) { totalCount } }", "{}"),
        ('{ projects(after: "garbage") { totalCount } }', "{}"),
        ('{ projects(after: "' + "W" * 5_000 + '") { totalCount } }', "{}"),
    ],
)
async def test_invalid_values_are_bad_user_input(api: Api, document: str, variables: str) -> None:
    content = f'{{"query": {json.dumps(document)}, "variables": {variables}}}'
    response = await api.rest.post("/graphql", content=content, headers={"content-type": "application/json"})
    codes = [error["extensions"]["code"] for error in response.json()["errors"]]
    assert codes == ["BAD_USER_INPUT"] * len(codes)


async def test_nested_lists_are_bad_user_input(api: Api) -> None:
    value: Any = "x"
    for _ in range(9):
        value = [value] * 3
    body = await api.raw(IDS, ids=value)
    assert {error["extensions"]["code"] for error in body["errors"]} == {"BAD_USER_INPUT"}


async def test_twenty_megabytes_are_refused_before_they_are_sent(anonymous: httpx.AsyncClient) -> None:
    sent = 0

    async def megabytes() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(20):
            sent += 1
            yield b"x" * 1_048_576

    headers = {"content-type": "application/json"}
    response = await anonymous.post("/graphql", content=megabytes(), headers=headers)
    assert response.status_code == 413
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert sent < 3


async def test_signed_out_clients_get_no_suggestions(api: Api, anonymous: httpx.AsyncClient) -> None:
    variables = {"id": "x", "status": "DON"}
    documents = (
        "{ viewr { id } }",
        "query($status: RunStatus) { finetunes(status: $status) { totalCount } }",
    )
    for document in documents:
        body = {"query": document, "variables": variables}
        with_suggestion = (await api.rest.post("/graphql", json=body)).json()["errors"][0]["message"]
        without = (await anonymous.post("/graphql", json=body)).json()["errors"][0]["message"]
        assert "Did you mean" in with_suggestion
        assert with_suggestion.startswith(without)
        assert "Did you mean" not in without


async def test_a_message_does_not_quote_a_long_input(api: Api) -> None:
    body = await api.raw(
        'mutation { createProject(input: {nam: "' + "x" * 50_000 + '"}) { project { id } } }'
    )
    assert all(len(error["message"]) <= 1_001 for error in body["errors"])


@pytest.fixture
async def locked(api: Api, database: AsyncEngine) -> AsyncIterator[str]:
    """The id of a project, while the table of projects is locked."""
    project = (await api.mutate("createProject", "project { id }", name="locked"))["project"]
    async with database.begin() as connection:
        await connection.execute(text("lock table projects in access exclusive mode"))
        yield project["id"]


async def waiting(database: AsyncEngine) -> int:
    """The number of statements that wait for a lock."""
    async with database.begin() as connection:
        count = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and state = 'active'"
        return int((await connection.execute(text(count))).scalar_one())


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (OperationType.QUERY, "{ projects { totalCount nodes { id } } }"),
        (OperationType.QUERY, "query($id: ID!) { node(id: $id) { id } health { version } }"),
        (OperationType.MUTATION, 'mutation { createProject(input: {name: "x"}) { project { id } } }'),
    ],
)
async def test_an_operation_that_times_out_is_stopped_with_its_statements(
    api: Api,
    wiring: Wiring,
    database: AsyncEngine,
    locked: str,
    monkeypatch: pytest.MonkeyPatch,
    kind: OperationType,
    document: str,
) -> None:
    monkeypatch.setitem(engine.TIMEOUTS_S, kind, 0.1)
    for body in (await api.raw(document, id=locked), (await streamed(api.rest, document, id=locked))[0]):
        (error,) = body["errors"]
        assert error["extensions"] | {"requestId": ""} == {
            "code": "UNAVAILABLE", "reason": "TIMEOUT", "requestId": "",
        }  # fmt: skip
        assert "took longer than 0.1 seconds" in error["message"]
        assert body.get("data") is None
        assert await waiting(database) == 0
        assert wiring.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_the_operation_after_a_timeout_is_answered(
    api: Api, database: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(engine.TIMEOUTS_S, OperationType.QUERY, 0.1)
        async with database.begin() as connection:
            await connection.execute(text("lock table projects in access exclusive mode"))
            assert (await api.raw("{ projects { totalCount } }"))["errors"]
    assert await api.gql("{ projects { totalCount } }") == {"projects": {"totalCount": 0}}


async def test_an_operation_of_a_disconnected_client_leaves_no_statement(
    api: Api,
    database: AsyncEngine,
    locked: str,  # noqa: ARG001
) -> None:
    request = asyncio.create_task(api.raw("{ projects { totalCount nodes { id } } }"))
    while not await waiting(database):
        pass
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert await waiting(database) == 0


async def test_signed_out_clients_may_introspect_the_schema(anonymous: httpx.AsyncClient) -> None:
    body = {"query": get_introspection_query(one_of=True, input_value_deprecation=True)}
    response = (await anonymous.post("/graphql", json=body)).json()
    assert "errors" not in response
    assert len(response["data"]["__schema"]["types"]) > 100
    assert response["extensions"] == {"cost": INTROSPECTION_COST}


def test_every_domain_error_has_an_extension_code() -> None:
    def kinds(kind: type[DomainError]) -> set[type[DomainError]]:
        return {kind}.union(*map(kinds, kind.__subclasses__()))

    assert EXTENSION_CODES.keys() == set(ErrorCode)
    assert {error.code for error in kinds(DomainError) if hasattr(error, "code")} == set(ErrorCode)
