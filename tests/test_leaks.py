"""Nothing of our inside is told to anyone; the log has it, under the request's id."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest
from botocore.exceptions import ClientError
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    is_required_argument,
    is_required_input_field,
)
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.routing import Mount

from app.logs import JsonLines
from app.wiring import Wiring
from domain.errors import Unavailable
from domain.job_events import RecordedEvent
from domain.services import Services
from edge.request_ids import RequestIds
from infra.s3 import _translated
from rest.gateway import Gateway
from tests.breaking import Breaking
from tests.clients import REGISTER, Api
from tests.external import KEY
from tests.introspection import NODES, SCHEMA, selected
from tests.rest.gateway_world import ASK, ROUTE
from tests.schema.test_jobs import websocket
from tests.test_tenancy_rest import CASES, names, path_of, send
from tests.world import World, owned, plant

pytestmark = pytest.mark.anyio

SECRET = "postgresql://luthier:hunter2@10.0.0.7/luthier"
INSIDE = ("hunter2", "10.0.0.7", "Traceback", "RuntimeError", "psycopg", "select ", "/site-packages/")
SQL = f"select password_hash from users where email = '{SECRET}'"  # noqa: S608
FAULTS: list[Exception] = [
    RuntimeError(SECRET),
    KeyError(SECRET),
    ExceptionGroup(SECRET, [ValueError(SECRET)]),
    ProgrammingError(SQL, {"password": SECRET}, psycopg.errors.UndefinedColumn(SECRET)),
]
MASKED = "Something went wrong inside Luthier."


def leaks(answer: str) -> list[str]:
    """What of our inside is in an answer."""
    return [it for it in INSIDE if it in answer]


def faults_logged(caplog: pytest.LogCaptureFixture, request_id: str) -> list[dict[str, Any]]:
    """The log's lines on a request, as a server writes them: one JSON object each."""
    lines = [JsonLines("api").format(it) for it in caplog.records if it.levelno >= logging.ERROR]
    assert not any("\n" in it for it in lines)
    return [it for it in map(json.loads, lines) if it.get("request_id") == request_id]


@pytest.fixture
def parts(wiring: Wiring) -> dict[str, Any]:
    """The parts of the application that can be made to fail."""
    return {name: Breaking(getattr(wiring.services, name)) for name in ("transactions", "storage")}


@pytest.fixture
def services(services: Services, parts: dict[str, Any]) -> Services:
    """The ports with these parts, and with a key for external workers."""
    return replace(services, external_api_key=KEY["x-api-key"], **parts)


@pytest.fixture
async def owner(api: Api, services: Services, database: AsyncEngine) -> World:
    """Who has one of everything; their item came from a document."""
    made = await plant(services, api)
    async with database.begin() as connection:
        await connection.execute(text("update items set document_id = (select id from documents limit 1)"))
    return made


def resolver(field: GraphQLField) -> Any:
    """What calls the function that answers a field, in whichever way the field is executed."""
    definition = (field.extensions or {}).get("strawberry-definition")
    return definition.base_resolver if definition is not None else None


def resolved() -> Iterator[tuple[GraphQLObjectType, str, GraphQLField]]:
    """Every field that a function of ours answers."""
    for kind in SCHEMA.type_map.values():
        for name, field in kind.fields.items() if isinstance(kind, GraphQLObjectType) else ():
            if resolver(field) is not None:
                assert isinstance(kind, GraphQLObjectType)
                yield kind, name, field


def literal(type: Any) -> str:
    """Some value of an input's type that the schema lets through."""
    if isinstance(type, GraphQLNonNull):
        return literal(type.of_type)
    if isinstance(type, GraphQLList):
        return f"[{literal(type.of_type)}]"
    if isinstance(type, GraphQLEnumType):
        return str(next(iter(type.values)))
    if isinstance(type, GraphQLInputObjectType):
        return f"{{{given(type.fields, is_required_input_field)}}}"
    return {"ID": '"prj_1"', "String": '"text"', "Int": "1", "Boolean": "true"}[type.name]


def given(places: Mapping[str, Any], is_required: Callable[[Any], bool]) -> str:
    """A value for each place that must have one."""
    return ", ".join(f"{name}: {literal(it.type)}" for name, it in places.items() if is_required(it))


def asked(name: str, field: GraphQLField) -> str:
    """A field with the arguments that it needs, and what is wanted of it."""
    arguments = given(field.args, is_required_argument)
    return f"{name}{f'({arguments})' if arguments else ''} {selected(field)}"


def way(kind: GraphQLObjectType, inner: str, owner: World) -> str:
    """A document that comes to an object of this type, wherever the schema has one."""
    roots: dict[Any, str] = {SCHEMA.query_type: "query", SCHEMA.mutation_type: "mutation"}
    if kind in roots:
        return f"{roots[kind]} {{ {inner} }}"
    if kind.name in NODES:
        return f'{{ node(id: "{owner.ids[kind.name]}") {{ ... on {kind.name} {{ {inner} }} }} }}'
    holder, name = next(
        (it, name)
        for it in SCHEMA.type_map.values()
        if isinstance(it, GraphQLObjectType) and (it in roots or it.name in NODES)
        for name, field in it.fields.items()
        if get_named_type(field.type) is kind
    )
    return way(holder, f"{name} {{ {inner} }}", owner)


async def test_no_resolver_tells_its_fault(
    owner: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(SECRET)

    async def fail_later(*_: Any, **__: Any) -> None:
        raise RuntimeError(SECRET)

    fields = [it for it in resolved() if it[0] is not SCHEMA.subscription_type]
    assert len(fields) > 100
    for kind, name, field in fields:
        for number, resolve in enumerate((fail, fail_later)):
            place, document = f"{kind.name}.{name}.{number}", way(kind, asked(name, field), owner)
            with monkeypatch.context() as patched:
                patched.setattr(resolver(field), "wrapped_func", resolve)
                headers = {"x-request-id": place}
                reply = await owner.api.rest.post("/graphql", json={"query": document}, headers=headers)
            (error,) = reply.json().get("errors") or [None]
            assert error, (place, document, reply.text)
            assert (error["message"], error["path"][-1]) == (MASKED, name), (place, error)
            assert error["extensions"] == {"code": "INTERNAL", "requestId": place}
            assert not leaks(reply.text + str(reply.headers))
            (line,) = faults_logged(caplog, place)
            assert (line["path"], SECRET in line["error"]) == (error["path"], True)


async def test_a_value_that_its_type_does_not_allow_is_our_fault_and_is_not_shown(
    owner: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fields = [
        it for it in resolved() if it[0].name in NODES and it[1] in {"stage", "downloadUrl", "progress"}
    ]
    assert len(fields) > 3
    for kind, name, field in fields:
        place, document = f"{kind.name}.{name}", way(kind, asked(name, field), owner)
        with monkeypatch.context() as patched:
            patched.setattr(resolver(field), "wrapped_func", lambda *_, **__: {SECRET: 1})
            headers = {"x-request-id": place}
            reply = await owner.api.rest.post("/graphql", json={"query": document}, headers=headers)
        (error,) = reply.json()["errors"]
        assert (error["message"], error["extensions"]["code"]) == (MASKED, "INTERNAL")
        assert not leaks(reply.text)
        assert len(faults_logged(caplog, place)) == 1


class Stumbling:
    """Follows jobs, and fails after so many events."""

    def __init__(self, real: Any, events: int) -> None:
        self.real = real
        self.events = events

    async def follow(self, job_id: str, after: int = 0) -> AsyncIterator[RecordedEvent]:
        """As ever, until it stumbles."""
        left = self.events
        async for it in self.real.follow(job_id, after):
            if not left:
                break
            left -= 1
            yield it
        raise RuntimeError(SECRET)


@asynccontextmanager
async def stumbling(services: Services, events: int) -> AsyncIterator[None]:
    """Every stream fails after so many events."""
    real = services.streams
    object.__setattr__(services, "streams", Stumbling(real, events))
    try:
        yield
    finally:
        object.__setattr__(services, "streams", real)


FOLLOW = "subscription($id: ID!) { jobEvents(jobId: $id) { cursor } }"


async def over_events(_live: str, owner: World) -> list[Any]:
    """The results of a subscription over server-sent events."""
    body = {"query": FOLLOW, "variables": {"id": owner.ids["Job"]}}
    headers = {"accept": "text/event-stream"}
    lines = (await owner.api.rest.post("/graphql", json=body, headers=headers)).text.splitlines()
    return [json.loads(it.removeprefix("data: ")) for it in lines if it.startswith("data: {")]


async def over_a_socket(live: str, owner: World) -> list[Any]:
    """The results of a subscription over a WebSocket; an error that ends it is one too."""
    found = []
    async with websocket(live, {"authorization": f"Bearer {owner.api.token}"}) as socket:
        payload = {"query": FOLLOW, "variables": {"id": owner.ids["Job"]}}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        while (message := json.loads(await socket.recv()))["type"] != "complete":
            errors = message["type"] == "error"
            found.append({"errors": message["payload"]} if errors else message["payload"])
            if errors:
                break
    return found


@pytest.mark.parametrize("events", [0, 1])
@pytest.mark.parametrize("transport", [over_events, over_a_socket])
async def test_no_subscription_tells_its_fault(
    live: str, owner: World, services: Services, caplog: pytest.LogCaptureFixture, transport: Any, events: int
) -> None:
    async with stumbling(services, events):
        *told, last = await transport(live, owner)
    assert [it["data"]["jobEvents"]["cursor"] for it in told] == ["1"] * events
    (error,) = last["errors"]
    assert (error["message"], error["extensions"]["code"]) == (MASKED, "INTERNAL")
    assert not leaks(json.dumps([told, last]))
    (line,) = faults_logged(caplog, error["extensions"]["requestId"])
    assert SECRET in line["error"]


async def test_a_stream_over_rest_that_breaks_off_tells_nothing(
    owner: World, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    path = f"/api/projects/{owner.ids['Project']}/finetunes/{owner.ids['Finetune']}/logs/stream"
    async with stumbling(services, 2):
        reply = await owner.api.rest.get(path, headers={"x-request-id": "the-stream"})
    assert not leaks(reply.text)
    (line,) = faults_logged(caplog, "the-stream")
    assert SECRET in line["error"]


@pytest.mark.parametrize("error", FAULTS, ids=lambda it: type(it).__name__)
async def test_no_rest_route_tells_its_fault(
    owner: World,
    anonymous: httpx.AsyncClient,
    parts: dict[str, Breaking],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    for case in CASES:
        caplog.clear()
        path = path_of(case, owned(names(case), owner.ids), owner)
        parts["transactions"].error = error
        client, headers = owner.api.rest, {"x-request-id": "the-request"}
        if case[1].startswith("/api/external/"):
            client, headers = anonymous, headers | KEY
        status, body = await send(client, case, path, headers)
        parts["transactions"].error = None
        assert status == 500, (case, body)
        answer = {"detail": MASKED, "error_code": "INTERNAL", "context": {}}
        assert case[0] == "HEAD" or json.loads(body) == answer, case
        assert not leaks(body)
        (line,) = faults_logged(caplog, "the-request")
        assert SECRET in line["error"]


async def test_no_fault_of_the_storage_is_told(owner: World, parts: dict[str, Breaking]) -> None:
    with pytest.raises(Unavailable) as refused, _translated():
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": SECRET}}, "GetObject")
    project = f"/api/projects/{owner.ids['Project']}"
    path = f"{project}/documents/{owner.ids['Document']}/download"
    for error, status, code in (
        (refused.value, 503, "STORAGE_UNAVAILABLE"),
        (RuntimeError(SECRET), 500, "INTERNAL"),
    ):
        parts["storage"].error = error
        reply = await owner.api.rest.get(path)
        assert (reply.status_code, reply.json()["error_code"]) == (status, code)
        assert not leaks(reply.text)
        upload = await owner.api.rest.post(
            f"{project}/files",
            data={"kind": "dataset_upload"},
            files=[("files", ("t.csv", b"q,a\n1,2", "text/csv"))],
        )
        assert upload.status_code == status
        assert not leaks(upload.text)


async def test_a_download_that_breaks_off_tells_nothing(
    owner: World, parts: dict[str, Breaking], caplog: pytest.LogCaptureFixture
) -> None:
    async def read(*_: Any, **__: Any) -> AsyncIterator[bytes]:
        yield b"question,ans"
        raise RuntimeError(SECRET)

    real = parts["storage"].real
    parts["storage"].real = Halfway(real, read)
    path = f"/api/projects/{owner.ids['Project']}/documents/{owner.ids['Document']}/download"
    reply = await owner.api.rest.get(path, headers={"x-request-id": "the-download"})
    assert reply.text in {"question,ans", ""} or reply.status_code == 500
    assert not leaks(reply.text)
    (line,) = faults_logged(caplog, "the-download")
    assert SECRET in line["error"]


class Halfway:
    """A storage whose `read` is another one."""

    def __init__(self, real: Any, read: Callable[..., AsyncIterator[bytes]]) -> None:
        self.real = real
        self.read = read

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.mark.parametrize("error", FAULTS, ids=lambda it: type(it).__name__)
async def test_the_openai_endpoint_tells_no_fault(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    class Known:
        async def model_names(self, *_: str) -> list[str]:
            return [ROUTE.model_name]

        async def route(self, *_: str) -> Any:
            return ROUTE

    class Forgetful:
        async def write(self, *_: Any) -> None:
            return

    for gateway in (
        Gateway(Breaking(error=error), Breaking(error=error), Forgetful()),
        Gateway(Known(), Breaking(error=error), Forgetful()),
    ):
        caplog.clear()
        transport = httpx.ASGITransport(RequestIds(Starlette(routes=[Mount("/public", gateway)])))
        async with httpx.AsyncClient(transport=transport, base_url="http://luthier.test") as client:
            headers = {"authorization": "Bearer lk_key"}
            reply = await client.post("/public/prj_1/chat/completions", json=ASK, headers=headers)
        assert (reply.status_code, reply.json()["error"]["type"]) == (500, "server_error")
        assert not leaks(reply.text + str(reply.headers))
        (line,) = faults_logged(caplog, reply.headers["x-request-id"])
        assert SECRET in line["error"]


@asynccontextmanager
async def broken(database: AsyncEngine, table: str, column: str) -> AsyncIterator[None]:
    """A column of a table is not there."""
    async with database.begin() as connection:
        await connection.execute(text(f"alter table {table} rename column {column} to gone"))
    try:
        yield
    finally:
        async with database.begin() as connection:
            await connection.execute(text(f"alter table {table} rename column gone to {column}"))


async def test_an_error_of_the_database_is_masked_and_logged_without_its_values(
    api: Api, database: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"email": "someone@example.org", "password": "correct horse", "name": "Someone"}
    calls: list[tuple[str, str, str, dict[str, Any]]] = [
        ("users", "billing_cycle", REGISTER, given),
        ("api_keys", "revoked_at", CREATE_KEY, {"name": "a name of mine"}),
    ]
    for table, column, document, values in calls:
        async with broken(database, table, column):
            reply = await api.rest.post("/graphql", json={"query": document, "variables": {"input": values}})
        (error,) = reply.json()["errors"]
        assert (error["message"], error["extensions"]["code"]) == (MASKED, "INTERNAL")
        assert not leaks(reply.text)
        (line,) = faults_logged(caplog, error["extensions"]["requestId"])
        assert "UndefinedColumn" in line["error"]
        assert not [it for it in (*values.values(), "$argon2") if it in line["error"]]


CREATE_KEY = """mutation($input: CreateApiKeyInput!) { createApiKey(input: $input) {
  secret apiKey { id } userErrors { message } } }"""


async def test_no_password_token_or_key_is_logged(
    anonymous: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    given = {"email": "someone@example.org", "password": "correct horse", "name": "Someone"}
    made = await anonymous.post("/graphql", json={"query": REGISTER, "variables": {"input": given}})
    token = made.json()["data"]["register"]["accessToken"]
    headers = {"authorization": f"Bearer {token}"}
    body = {"query": CREATE_KEY, "variables": {"input": {"name": "k"}}}
    secret = (await anonymous.post("/graphql", json=body, headers=headers)).json()["data"]["createApiKey"][
        "secret"
    ]
    wrong = {"query": LOGIN, "variables": {"input": {"email": given["email"], "password": "wrong horse"}}}
    assert (await anonymous.post("/graphql", json=wrong)).json()["data"]["login"]["userErrors"]
    broken_off = {"query": REGISTER + "}", "variables": {"input": given}}
    assert (await anonymous.post("/graphql", json=broken_off)).json()["errors"]
    logged = "\n".join(JsonLines("api").format(it) for it in caplog.records)
    assert not [it for it in (given["password"], "wrong horse", token, secret) if it in logged]


LOGIN = "mutation($input: LoginInput!) { login(input: $input) { userErrors { message } } }"


class Unsayable:
    """What has no text."""

    def __str__(self) -> str:
        raise ValueError


def record(message: Any, *arguments: Any, **extra: Any) -> logging.LogRecord:
    """A record of a log."""
    made = logging.LogRecord("a.name", logging.ERROR, __file__, 1, message, arguments, None)
    vars(made).update(extra)
    return made


@pytest.mark.parametrize(
    ("logged", "shown"),
    [
        (record("two\nlines\r\n%s", "\u2028"), {"message": "two\nlines\r\n\u2028"}),
        (record("half a \ud800"), {"message": "half a \ud800"}),
        (record("too few: %s %s", "one"), {"message": "too few: %s %s"}),
        (record("a path", path=["projects", 1, Unsayable()]), {"path": ["projects", 1, "<Unsayable>"]}),
        (record("an id", request_id="r-1", job_id=b"job"), {"request_id": "r-1", "job_id": "b'job'"}),
        (record("not told", password="x"), {"message": "not told"}),
    ],
)
def test_a_line_of_the_log_is_one_json_object_whatever_is_in_it(
    logged: logging.LogRecord, shown: dict[str, Any]
) -> None:
    line = JsonLines("api").format(logged)
    assert len(line.splitlines()) == 1
    about = {"level": "ERROR", "process": "api", "logger": "a.name"}
    told = json.loads(line)
    assert {name: told[name] for name in about | shown} == about | shown
    assert "password" not in told


def test_an_error_is_one_line_of_the_log_too() -> None:
    error, made = RuntimeError("two\nlines"), record("failed")
    error.__cause__ = KeyError("a cause")
    made.exc_info = (RuntimeError, error, None)
    line = JsonLines("worker").format(made)
    assert len(line.splitlines()) == 1
    told = json.loads(line)["error"]
    assert told.index("a cause") < told.index("two\nlines")
