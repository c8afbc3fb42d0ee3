"""Every refusal has a code or status in each protocol: GraphQL, REST and the OpenAI endpoint."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import httpx
import pytest
from graphql import GraphQLEnumType
from starlette.applications import Starlette
from starlette.routing import Mount

import app.cli
import app.worker
from domain.errors import DomainError, ErrorCode, RateLimited, SignInRequired
from domain.services import Services
from edge.request_ids import RequestIds
from rest.errors import REASON_STATUS, STATUS
from rest.gateway import Gateway
from rest.gateway._errors import DOMAIN_ERRORS
from schema.shared.errors import EXTENSION_CODES
from tests.breaking import Breaking
from tests.clients import Api
from tests.introspection import SCHEMA
from tests.source_tree import sources

pytestmark = pytest.mark.anyio

LOADED = (app.cli, app.worker)
"""With these, whatever a process of ours imports is imported, and so every kind of refusal is known."""
UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
NOT_OF_THE_INPUT = {SignInRequired, RateLimited}
"""What no other input can mend: a mutation is refused at the top too."""
SENTENCE, REASON = "A sentence for a person.", "A_REASON"
REQUEST = {"x-request-id": "the-request"}


def refusal_classes(of: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    """Every subclass, direct or not, of a class of refusals."""
    for kind in of.__subclasses__():
        yield kind
        yield from refusal_classes(kind)


KINDS = sorted(set(refusal_classes()), key=lambda kind: kind.__name__)


def instance_of(kind: type[DomainError]) -> DomainError:
    """A refusal of this class."""
    if kind is RateLimited:
        return RateLimited(SENTENCE, kind="reads", retry_after=7)
    try:
        return kind(SENTENCE, reason=REASON, field=["an_input", "first_name"], context={"fact": 1})
    except TypeError:
        return kind()  # type: ignore[call-arg]  # its message is constant


@pytest.fixture
def transactions(wiring: Any) -> Breaking:
    """Transactions that fail while `error` is set."""
    return Breaking(wiring.services.transactions)


@pytest.fixture
def services(services: Services, transactions: Breaking) -> Services:
    """The ports, with transactions that can fail."""
    return replace(services, transactions=transactions)


def test_every_code_has_a_code_or_status_in_each_protocol() -> None:
    codes = set(ErrorCode)
    assert codes == EXTENSION_CODES.keys() == STATUS.keys() == DOMAIN_ERRORS.keys()
    shown = SCHEMA.type_map["ErrorCode"]
    assert isinstance(shown, GraphQLEnumType)
    assert set(shown.values) == codes
    assert len(set(EXTENSION_CODES.values())) == len(set(STATUS.values())) == len(codes)


def test_every_kind_of_refusal_has_a_code() -> None:
    assert len(KINDS) > len(ErrorCode)
    assert {kind.code for kind in KINDS} == set(ErrorCode)


@cache
def raised() -> Mapping[str, set[str]]:
    """Every reason in the source, with the names of the classes that are called with it."""
    found: dict[str, set[str]] = defaultdict(set)
    for call in (node for path in sources() for node in ast.walk(ast.parse(path.read_text()))):
        if isinstance(call, ast.Call):
            for reason in (text_of(keyword.value) for keyword in call.keywords if keyword.arg == "reason"):
                found[reason].add(getattr(call.func, "id", ""))
    del found[""]
    return found


def text_of(value: ast.expr) -> str:
    """A literal's text or a constant's name; "" for any other expression."""
    if isinstance(value, ast.Name) and value.id.isupper():
        return value.id
    return str(value.value) if isinstance(value, ast.Constant) else ""


def test_every_reason_is_a_word_for_programs() -> None:
    assert len(raised()) > 50
    assert [reason for reason in raised() if not UPPER_SNAKE.fullmatch(reason)] == []


def test_a_reason_with_a_status_of_its_own_is_given_and_is_of_a_kind_that_fits() -> None:
    by_name, given = {kind.__name__: kind.code for kind in KINDS}, raised()
    codes = {reason: {by_name.get(name) for name in given[reason]} for reason in REASON_STATUS}
    fits = {413: {ErrorCode.LIMIT_EXCEEDED}, 415: {ErrorCode.INVALID}, 422: {ErrorCode.INVALID}}
    assert codes == {reason: fits[status] for reason, status in REASON_STATUS.items()}


async def test_a_query_is_refused_at_the_top(api: Api, transactions: Breaking) -> None:
    for kind in KINDS:
        transactions.error = error = instance_of(kind)
        response = await api.rest.post("/graphql", json={"query": "{ viewer { id } }"}, headers=REQUEST)
        (shown,) = response.json()["errors"]
        assert (shown["message"], shown["path"]) == (error.message, ["viewer"])
        assert shown["extensions"] == {
            "code": EXTENSION_CODES[error.code],
            "reason": error.reason,
            "field": ["anInput", "firstName"] if error.field else None,
            "requestId": "the-request",
            **({"kind": "reads", "retryAfter": 7} if kind is RateLimited else {}),
        }
        assert response.json()["data"] in (None, {"viewer": None})


async def test_a_mutation_is_refused_in_its_payload(api: Api, transactions: Breaking) -> None:
    for kind in KINDS:
        transactions.error = error = instance_of(kind)
        document = """mutation { createProject(input: {name: "new"}) {
          project { id } userErrors { code message field reason context } } }"""
        body = await api.raw(document)
        if kind in NOT_OF_THE_INPUT:
            assert body["errors"][0]["extensions"]["code"] == EXTENSION_CODES[error.code]
            continue
        assert body["data"]["createProject"] == {
            "project": None,
            "userErrors": [
                {
                    "code": error.code,
                    "message": error.message,
                    "field": ["anInput", "firstName"] if error.field else None,
                    "reason": error.reason,
                    "context": error.context or None,
                }
            ],
        }


async def test_a_rest_call_is_refused_with_a_status(api: Api, transactions: Breaking) -> None:
    for kind in KINDS:
        transactions.error = error = instance_of(kind)
        response = await api.rest.get("/api/projects/prj_1/documents/doc_1/download", headers=REQUEST)
        assert response.status_code == STATUS[error.code]
        assert response.json() == {
            "detail": error.message,
            "error_code": error.reason,
            "context": error.context,
        }
        assert response.headers["x-request-id"] == "the-request"
        assert ("www-authenticate" in response.headers) == (response.status_code == 401)
        assert response.headers.get("retry-after") == ("7" if kind is RateLimited else None)


async def test_the_openai_endpoint_refuses_in_its_own_shape() -> None:
    for kind in KINDS:
        error = instance_of(kind)
        gateway = Gateway(Breaking(error=error), Breaking(), Breaking())
        transport = httpx.ASGITransport(RequestIds(Starlette(routes=[Mount("/public", gateway)])))
        async with httpx.AsyncClient(transport=transport, base_url="http://luthier.test") as client:
            response = await client.get("/public/prj_1/models", headers={"authorization": "Bearer lk_key"})
        status, code = DOMAIN_ERRORS[error.code]
        assert response.status_code == status
        assert response.json()["error"].keys() == {"message", "type", "param", "code"}
        assert (response.json()["error"]["message"], response.json()["error"]["code"]) == (
            error.message,
            code,
        )
        assert "x-request-id" in response.headers
        expected = {429: "7" if kind is RateLimited else "1", 503: "1"}
        assert response.headers.get("retry-after") == expected.get(status)


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("GET", "/api/nothing", 404, "NOT_FOUND"),
        ("DELETE", "/health", 405, "METHOD_NOT_ALLOWED"),
    ],
)
async def test_what_has_no_endpoint_is_refused_in_the_same_shape(
    anonymous: httpx.AsyncClient, method: str, path: str, status: int, reason: str
) -> None:
    response = await anonymous.request(method, path)
    assert (response.status_code, response.json()["error_code"]) == (status, reason)
    assert response.json().keys() == {"detail", "error_code", "context"}
    assert "x-request-id" in response.headers
