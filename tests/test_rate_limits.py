"""How often calls may be made: per user or address and per kind, over each transport, all of an operation or none."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest
from graphql import OperationDefinitionNode, parse
from starlette.applications import Starlette
from starlette.types import ASGIApp

from app.asgi import HANDLERS, REST, add_routes, with_middleware
from app.settings import Settings, parse_rate_limits
from app.wiring import Wiring, wire
from domain.ports.passwords import Passwords
from domain.rate_limits import DOCUMENTED, CallKind, Rate, RateLimits
from domain.services import Services
from infra.rate_limiter import BoundedMemoryStorage, WindowRateLimiter
from schema.admission._rate_limits import MUTATION_KINDS, SIGN_IN_MUTATIONS, counted_fields, counts_by_kind
from schema.root import schema
from tests.clients import Api
from tests.external import KEY
from tests.schema.transports import websocket

pytestmark = pytest.mark.anyio

LIMITS: RateLimits = {
    CallKind.READS: Rate(5, 60),
    CallKind.WRITES: Rate(12, 60),
    CallKind.UPLOADS: Rate(2, 60),
    CallKind.GENERATE: Rate(2, 60),
    CallKind.TRAIN: Rate(2, 60),
    CallKind.SIGN_IN: Rate(2, 60),
    CallKind.SIGN_UP: Rate(2, 60),
}
ConnectClient = Callable[..., Awaitable[httpx.AsyncClient]]
SUBSCRIPTION = 'subscription { jobEvents(jobId: "job_unknown") { cursor } }'
PASSWORD = "correct horse"
LOGIN = "mutation($input: LoginInput!) { login(input: $input) { user { id } userErrors { code } } }"
REGISTER = "mutation($input: RegisterInput!) { register(input: $input) { user { id } userErrors { code } } }"


class CountedPasswords:
    """Counts the passwords that are hashed or verified."""

    def __init__(self, real: Passwords) -> None:
        self._real = real
        self.count = 0

    async def hash(self, password: str) -> str:
        self.count += 1
        return await self._real.hash(password)

    async def verify(self, hashed: str | None, password: str) -> bool:
        self.count += 1
        return await self._real.verify(hashed, password)


@pytest.fixture
def passwords(services: Services) -> CountedPasswords:
    """The services' password hasher, which counts its calls."""
    found = services.passwords
    assert isinstance(found, CountedPasswords)
    return found


@pytest.fixture
def services(services: Services) -> Services:
    """The services, with narrow limits."""
    windows = WindowRateLimiter(LIMITS, BoundedMemoryStorage())
    return replace(
        services,
        passwords=CountedPasswords(services.passwords),
        rate_limiter=windows,
        external_api_key=KEY["x-api-key"],
    )


@pytest.fixture
async def connect(application: ASGIApp) -> AsyncIterator[ConnectClient]:
    """Makes clients that call from an address."""
    async with AsyncExitStack() as stack:

        async def made(host: str, token: str | None = None) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(application, client=(host, 4711), raise_app_exceptions=False)
            client = await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url="http://luthier.test")
            )
            if token:
                client.headers["authorization"] = f"Bearer {token}"
            return client

        yield made


async def send(client: httpx.AsyncClient, document: str, **variables: Any) -> dict[str, Any]:
    """The response to an operation."""
    response = await client.post("/graphql", json={"query": document, "variables": variables})
    body: dict[str, Any] = response.json()
    return body


def code(response: Mapping[str, Any]) -> str | None:
    """The code of the first error."""
    errors = response.get("errors") or ({"extensions": {"code": None}},)
    found: str | None = errors[0]["extensions"]["code"]
    return found


async def outcome_of(client: httpx.AsyncClient, document: str, given: Mapping[str, str]) -> str | None:
    """OK, or the code of the refusal: the payload's, or the operation's."""
    response = await send(client, document, input=given)
    if refused := code(response):
        return refused
    (payload,) = response["data"].values()
    return "OK" if payload["user"] else str(payload["userErrors"][0]["code"])


async def sign_in(client: httpx.AsyncClient, email: str, password: str) -> str | None:
    """The outcome of signing in, as of `outcome_of`."""
    return await outcome_of(client, LOGIN, {"email": email, "password": password})


async def sign_up(client: httpx.AsyncClient, email: str, password: str = PASSWORD) -> str | None:
    """The outcome of signing up, as of `outcome_of`."""
    return await outcome_of(client, REGISTER, {"email": email, "password": password, "name": "A"})


def counted(document: str, **variables: Any) -> dict[CallKind, int]:
    """What an operation is counted as."""
    parse_document = parse(document)
    operation = parse_document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return dict(
        counts_by_kind(
            operation.operation, counted_fields(schema._schema, parse_document, operation, variables)
        )
    )


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("{ viewer { id } }", {CallKind.READS: 1}),
        ("{ a: viewer { id } b: viewer { id } health { version } }", {CallKind.READS: 3}),
        ("{ viewer { id } viewer { name } }", {CallKind.READS: 1}),
        ("{ __typename a: __typename }", {}),
        ('{ __typename __schema { types { name } } a: __type(name: "User") { name } }', {CallKind.READS: 2}),
        ("query($no: Boolean!) { viewer @skip(if: $no) { id } health { version } }", {CallKind.READS: 1}),
        ("query($no: Boolean = true) { viewer @include(if: $no) { id } }", {CallKind.READS: 1}),
        (
            "query Q { ...F ... on Query { b: viewer { id } } ...F } fragment F on Query { a: viewer { id } }",
            {CallKind.READS: 2},
        ),
        ("query($gone: Boolean!) { viewer @skip(if: $gone) { id } }", {}),
        (SUBSCRIPTION, {CallKind.READS: 1}),
        ("mutation { createFinetune cancelFinetune a: createFinetune }", {CallKind.TRAIN: 3}),
        (
            "mutation { initiateUpload createProject a: deleteProject createFinetune }",
            {CallKind.UPLOADS: 1, CallKind.WRITES: 2, CallKind.TRAIN: 1},
        ),
    ],
)
def test_each_root_field_that_runs_is_counted_once(document: str, expected: dict[CallKind, int]) -> None:
    assert counted(document, no=True) == expected


def test_each_mutation_with_a_kind_of_its_own_is_in_the_schema() -> None:
    mutation = schema._schema.mutation_type
    assert mutation is not None
    assert {*MUTATION_KINDS, *SIGN_IN_MUTATIONS} <= set(mutation.fields)


async def test_an_operation_beyond_a_limit_is_refused_and_says_when_to_come_back(api: Api) -> None:
    document = "{ a: viewer { id } b: viewer { id } c: viewer { id } }"
    assert code(await api.raw(document)) is None
    response = await api.raw(document)
    assert response.get("data") is None
    (error,) = response["errors"]
    wait_s = error["extensions"].pop("retryAfter")
    assert 1 <= wait_s <= 60
    assert error["message"] == f"At most 5 reads are allowed per minute; try again in {wait_s} seconds."
    assert error["extensions"].pop("requestId")
    assert error["extensions"] == {
        "code": "RATE_LIMITED",
        "reason": "RATE_LIMITED",
        "field": None,
        "kind": "reads",
    }
    assert code(await api.raw("{ a: viewer { id } b: viewer { id } }")) is None
    assert code(await api.other.raw(document)) is None


async def test_over_http_a_refusal_is_a_429_that_says_when_to_come_back(api: Api) -> None:
    document = {"query": "{ a: viewer { id } b: viewer { id } c: viewer { id } }"}
    accept = {"accept": "application/graphql-response+json"}
    responses = [await api.rest.post("/graphql", json=document, headers=accept) for _ in range(2)]
    assert [response.status_code for response in responses] == [200, 429]
    error = responses[1].json()["errors"][0]
    assert responses[1].headers["retry-after"] == str(error["extensions"]["retryAfter"])


async def test_of_an_operation_that_is_refused_nothing_runs_and_nothing_is_counted(api: Api) -> None:
    create = 'createProject(input: {name: "P"}) { project { id } }'
    train = 'cancelFinetune(input: {id: "finetune_unknown"}) { userErrors { code } }'
    document = f"mutation {{ {create} a: {train} b: {train} c: {train} }}"
    response = await api.raw(document)
    assert (code(response), response["errors"][0]["extensions"]["kind"]) == ("RATE_LIMITED", "train")
    assert await api.gql("{ projects { totalCount } }") == {"projects": {"totalCount": 0}}
    assert code(await api.raw(f"mutation {{ {create} a: {train} b: {train} }}")) is None


async def test_no_more_than_the_limit_run_at_once(api: Api) -> None:
    responses = await asyncio.gather(*(api.raw("{ viewer { id } }") for _ in range(20)))
    assert [code(response) for response in responses].count(None) == 5


async def test_what_is_no_operation_is_not_counted(api: Api) -> None:
    for document in ("{ viewer { nothing } }", "{", "{ __typename }"):
        for _ in range(6):
            assert code(await api.raw(document)) != "RATE_LIMITED"
    assert code(await api.raw("{ viewer { id } }")) is None


async def test_the_signed_out_are_counted_by_address(api: Api, connect: ConnectClient) -> None:
    one, same, other = await connect("192.0.2.1"), await connect("192.0.2.1"), await connect("192.0.2.2")
    document = "{ a: health { version } b: health { version } c: health { version } }"
    assert code(await send(one, document)) is None
    assert code(await send(same, document)) == "RATE_LIMITED"
    assert code(await send(other, document)) is None
    assert code(await send(await connect("192.0.2.1", api.token), document)) is None
    assert code(await send(await connect("192.0.2.1", "not a token"), document)) == "RATE_LIMITED"


async def test_a_subscription_counts_as_one_read_over_an_event_stream(live: str, api: Api) -> None:
    headers = {"authorization": f"Bearer {api.token}", "accept": "text/event-stream"}
    async with httpx.AsyncClient(base_url=live, headers=headers) as rest:
        responses = [await rest.post("/graphql", json={"query": SUBSCRIPTION}) for _ in range(6)]
    limited = ["RATE_LIMITED" in response.text for response in responses]
    assert limited == [False] * 5 + [True]
    assert '"retryAfter":' in responses[-1].text


async def test_operations_over_a_websocket_are_counted_with_the_others(live: str, api: Api) -> None:
    await api.gql("{ a: viewer { id } b: viewer { id } c: viewer { id } d: viewer { id } }")
    async with websocket(live, {"authorization": f"Bearer {api.token}"}) as socket:
        messages = []
        for number, document in enumerate((SUBSCRIPTION, SUBSCRIPTION, "{ viewer { id } }")):
            payload = {"query": document}
            await socket.send(json.dumps({"id": str(number), "type": "subscribe", "payload": payload}))
            while (message := json.loads(await socket.recv()))["type"] not in {"error", "complete"}:
                pass
            messages.append(message)
    assert [message["type"] for message in messages[1:]] == ["error", "error"]
    assert "RATE_LIMITED" not in json.dumps(messages[0])
    assert {message["payload"][0]["extensions"]["code"] for message in messages[1:]} == {"RATE_LIMITED"}


PATHS = sorted(
    (method, route.path)
    for module in REST
    for route in module.ROUTES
    for method in set(route.methods or ()) - {"HEAD"}
)
FREE = ("/health", "/openapi.json", "/graphiql", "/api/external/")
"""What is not limited: the health, the OpenAPI document, GraphiQL, and the reports of external workers."""


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_every_path_of_rest_but_the_free_ones_is_limited(
    anonymous: httpx.AsyncClient, api: Api, method: str, path: str
) -> None:
    headers = {"authorization": f"Bearer {api.token}"} | (KEY if path.startswith("/api/external/") else {})
    responses = [await anonymous.request(method, path, headers=headers) for _ in range(6)]
    statuses = [response.status_code for response in responses]
    assert (429 in statuses) is not (path == "/" or path.startswith(FREE)), statuses
    if 429 in statuses:
        kind, free = ("uploads", 2) if method == "POST" else ("reads", 5)
        assert statuses.index(429) == free
        wait_s = int(responses[-1].headers["retry-after"])
        assert 1 <= wait_s <= 60
        assert responses[-1].json() == {
            "detail": f"At most {free} {kind} are allowed per minute; try again in {wait_s} seconds.",
            "error_code": "RATE_LIMITED",
            "context": {"kind": kind, "retryAfter": wait_s},
        }


async def test_a_ticket_counts_as_its_user(api: Api, connect: ConnectClient) -> None:
    path = "/api/projects/prj_x/documents/doc_x/download"
    ticket = (await api.gql(f'{{ ticket(path: "{path}") {{ ticket }} }}'))["ticket"]["ticket"]
    rest = [await connect(f"192.0.2.{number}") for number in range(5)]
    responses = [await client.get(path, params={"ticket": ticket}) for client in rest]
    assert [response.status_code for response in responses] == [404] * 4 + [429]


async def test_of_an_upload_beyond_the_limit_no_byte_is_read(api: Api) -> None:
    path = "/api/projects/prj_x/files"
    for _ in range(2):
        assert (await api.rest.post(path, content=b"")).status_code == 404
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"x"

    assert (await api.rest.post(path, content=body())).status_code == 429
    assert read == []


async def test_a_login_beyond_the_limit_verifies_no_password(
    api: Api, connect: ConnectClient, passwords: CountedPasswords
) -> None:
    email = (await api.gql("{ viewer { email } }"))["viewer"]["email"]
    client = await connect("192.0.2.1")
    passwords.count = 0
    assert await sign_in(client, email, "wrong") == "UNAUTHENTICATED"
    assert await sign_in(client, f" {email.upper()}", "wrong again") == "UNAUTHENTICATED"
    assert await sign_in(client, email, "correct horse") == "RATE_LIMITED"
    assert passwords.count == 2


async def test_who_guesses_at_an_account_does_not_lock_its_owner_out(
    api: Api, connect: ConnectClient
) -> None:
    email = (await api.gql("{ viewer { email } }"))["viewer"]["email"]
    guesser, owner = await connect("192.0.2.1"), await connect("192.0.2.2")
    assert [await sign_in(guesser, email, "wrong") for _ in range(5)][-1] == "RATE_LIMITED"
    for _ in range(4):
        assert await sign_in(owner, email, "correct horse") == "OK"


async def test_attempts_at_once_are_no_more_than_the_limit(
    api: Api, connect: ConnectClient, passwords: CountedPasswords
) -> None:
    email = (await api.gql("{ viewer { email } }"))["viewer"]["email"]
    passwords.count = 0
    client = await connect("192.0.2.1")
    await asyncio.gather(*(sign_in(client, email, "wrong") for _ in range(8)))
    assert passwords.count == 2


async def test_the_schema_is_asked_for_no_more_often_than_anything_else(connect: ConnectClient) -> None:
    unauthenticated_client = await connect("192.0.2.1")
    codes = [
        code(await send(unauthenticated_client, "{ __schema { queryType { name } } }")) for _ in range(6)
    ]
    assert codes == [None] * 5 + ["RATE_LIMITED"]


BESIDE = (
    'createProject(input: {name: "P"}) { project { id } }',
    "b: login(input: $input) { user { id } }",
    "... on Mutation { b: login(input: $input) { user { id } } }",
    'register(input: {email: "new@example.org", password: "correct horse", name: "A"}) { user { id } }',
)


@pytest.mark.parametrize("beside", BESIDE)
async def test_signing_in_shares_its_operation_with_nothing(
    api: Api, connect: ConnectClient, passwords: CountedPasswords, beside: str
) -> None:
    given = {"email": (await api.gql("{ viewer { email } }"))["viewer"]["email"], "password": PASSWORD}
    passwords.count = 0
    client = await connect("192.0.2.1")
    login = "a: login(input: $input) { user { id } }"
    for both in (f"{login} {beside}", f"{beside} {login}"):
        response = await send(client, f"mutation($input: LoginInput!) {{ {both} }}", input=given)
        (error,) = response["errors"]
        assert (error["extensions"]["code"], error["extensions"]["reason"]) == (
            "BAD_USER_INPUT",
            "SIGN_IN_ALONE",
        )
        assert response.get("data") is None
    assert passwords.count == 0
    assert await api.gql("{ projects { totalCount } }") == {"projects": {"totalCount": 0}}
    skipped = f"... @include(if: $no) {{ {beside} }}"
    alone = f"mutation($input: LoginInput!, $no: Boolean = false) {{ __typename {login} {skipped} }}"
    assert (await send(client, alone, input=given))["data"]["a"] == {"user": {"id": api.user_id}}
    assert passwords.count == 1


async def test_signing_in_stands_alone_where_nothing_is_limited_too(
    wiring: Wiring, settings: Settings, services: Services
) -> None:
    app = Starlette(exception_handlers=HANDLERS)
    add_routes(app, replace(wiring, services=replace(services, rate_limiter=None)), settings)
    transport = httpx.ASGITransport(with_middleware(app, settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://luthier.test") as client:
        given = {"email": "nobody@example.org", "password": "guess"}
        login = "login(input: $input) { user { id } }"
        response = await send(client, f"mutation($input: LoginInput!) {{ {login} b: {login} }}", input=given)
        assert response["errors"][0]["extensions"]["reason"] == "SIGN_IN_ALONE"
        response = await send(client, f"mutation($input: LoginInput!) {{ {login} }}", input=given)
        assert response["data"] == {"login": {"user": None}}


async def test_guesses_from_one_address_at_many_accounts_and_from_many_at_one_are_bounded(
    connect: ConnectClient,
) -> None:
    client = await connect("192.0.2.1")
    outcomes = [await sign_in(client, f"user{number}@example.org", "guess") for number in range(7)]
    assert outcomes == ["UNAUTHENTICATED"] * 6 + ["RATE_LIMITED"]
    many = [await connect(f"198.51.100.{number}") for number in range(21)]
    outcomes = [await sign_in(client, "one@example.org", "guess") for client in many]
    assert outcomes == ["UNAUTHENTICATED"] * 20 + ["RATE_LIMITED"]


async def test_sign_ups_are_bounded_by_e_mail_and_by_address(
    connect: ConnectClient, passwords: CountedPasswords
) -> None:
    client = await connect("192.0.2.1")
    assert [await sign_up(client, "new@example.org") for _ in range(3)] == ["OK", "CONFLICT", "RATE_LIMITED"]
    assert await sign_up(client, "another@example.org", password="short") == "INVALID"
    outcomes = [await sign_up(client, f"another{number}@example.org") for number in range(5)]
    assert outcomes == ["OK"] * 4 + ["RATE_LIMITED"]
    assert passwords.count == 6


async def test_a_process_limits_what_its_setting_says(settings: Settings, wiring: Wiring) -> None:
    assert (settings.rate_limits, wiring.services.rate_limiter) == (None, None)  # as `luthier up` sets it
    async with wire(
        settings.model_copy(update={"rate_limits": parse_rate_limits('{"reads": 7}')})
    ) as limited:
        rate_limiter = limited.services.rate_limiter
    assert isinstance(rate_limiter, WindowRateLimiter)
    assert rate_limiter._limits == {**DOCUMENTED, CallKind.READS: Rate(7, 60)}
