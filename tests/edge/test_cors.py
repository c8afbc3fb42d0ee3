"""Pages on other origins: preflights and readable responses on every path of the application."""

import re
from dataclasses import replace

import httpx
import pytest
from starlette.types import ASGIApp
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from app.settings import Settings
from app.wiring import Wiring
from domain.errors import RateLimited
from domain.services import Services
from edge.cors import EXPOSED, parse_origins
from tests.breaking import Breaking
from tests.clients import Api
from tests.conftest import assemble
from tests.rest.gateway_fakes import serving
from tests.routes import EVERY_ROUTE, example_path

pytestmark = pytest.mark.anyio

LISTED, OTHER = "http://localhost:5173", "https://evil.example"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
REQUESTED_HEADERS = "authorization,content-type,idempotency-key,x-stainless-lang"


@pytest.fixture
def transactions(wiring: Wiring) -> Breaking:
    """Transactions that fail while `error` is set."""
    return Breaking(wiring.services.transactions)


@pytest.fixture
def services(services: Services, transactions: Breaking) -> Services:
    """The ports, with transactions that can fail."""
    return replace(services, transactions=transactions)


@pytest.fixture
def origins() -> tuple[str, ...]:
    """The setting."""
    return (LISTED,)


@pytest.fixture
async def application(
    wiring: Wiring,
    services: Services,
    settings: Settings,
    origins: tuple[str, ...],
    clean: None,  # noqa: ARG001
) -> ASGIApp:
    """The application for these origins."""
    return assemble(wiring, services, settings.model_copy(update={"origins": origins}))


async def preflight(
    rest: httpx.AsyncClient, method: str, path: str, origin: str, **more: str
) -> httpx.Response:
    """The response to a browser's preflight, which precedes the call of a page."""
    requested = {"access-control-request-method": method, "access-control-request-headers": REQUESTED_HEADERS}
    return await rest.options(example_path(path), headers={"origin": origin} | requested | more)


def cors_headers(response: httpx.Response) -> dict[str, str]:
    """The response's CORS headers, without their common prefix."""
    prefix = "access-control-"
    return {
        name.removeprefix(prefix): value
        for name, value in response.headers.items()
        if name.startswith(prefix)
    }


def varies_by_origin(response: httpx.Response) -> bool:
    return "Origin" in re.split(r",\s*", response.headers["vary"])


async def test_a_preflight_of_every_path_from_a_listed_origin_allows_any_header(
    anonymous: httpx.AsyncClient,
) -> None:
    for method, path in EVERY_ROUTE:
        response = await preflight(anonymous, method, path, LISTED)
        assert response.status_code == 200
        assert cors_headers(response) == {
            "allow-origin": LISTED,
            "allow-methods": ", ".join(METHODS),
            "allow-headers": REQUESTED_HEADERS,
            "max-age": "7200",
        }
        assert varies_by_origin(response)
        assert "x-request-id" in response.headers


async def test_a_preflight_of_every_path_from_another_origin_is_refused_with_a_sentence(
    anonymous: httpx.AsyncClient,
) -> None:
    for method, path in EVERY_ROUTE:
        response = await preflight(anonymous, method, path, OTHER)
        assert response.status_code == 403
        assert response.json() == {
            "detail": f"Pages on {OTHER} may not call this: ORIGINS does not name it.",
            "error_code": "ORIGIN_NOT_ALLOWED",
            "context": {},
        }
        assert cors_headers(response) == {}
        assert varies_by_origin(response)


async def test_the_response_of_every_path_is_readable_for_a_listed_origin_alone(
    anonymous: httpx.AsyncClient,
) -> None:
    readable = {"allow-origin": LISTED, "expose-headers": ", ".join(EXPOSED)}
    for method, path in EVERY_ROUTE:
        for origin in (LISTED, OTHER, "null", f"{LISTED}.evil.example", f"{LISTED}0", None):
            headers = {"origin": origin} if origin else {}
            response = await anonymous.request(method, example_path(path), headers=headers)
            assert cors_headers(response) == (readable if origin == LISTED else {})
            assert varies_by_origin(response)


async def test_a_path_that_does_not_exist_is_a_readable_404(anonymous: httpx.AsyncClient) -> None:
    for method in METHODS:
        for path in ("/nothing", "/api/nothing", "/public/nothing"):
            assert (await preflight(anonymous, method, path, LISTED)).status_code == 200
            response = await anonymous.request(method, path, headers={"origin": LISTED})
            assert response.status_code == 404
            assert response.headers["access-control-allow-origin"] == LISTED


async def test_a_method_that_no_path_has_is_refused(anonymous: httpx.AsyncClient) -> None:
    response = await preflight(anonymous, "PROPFIND", "/health", LISTED)
    assert (response.status_code, response.json()["error_code"]) == (405, "METHOD_NOT_ALLOWED")
    assert cors_headers(response) == {}


async def test_a_page_may_call_a_private_network_where_its_origin_is_listed(
    anonymous: httpx.AsyncClient,
) -> None:
    private = {"access-control-request-private-network": "true"}
    allowed = await preflight(anonymous, "POST", "/graphql", LISTED, **private)
    assert allowed.headers["access-control-allow-private-network"] == "true"
    assert cors_headers(await preflight(anonymous, "POST", "/graphql", OTHER, **private)) == {}


async def test_options_without_a_page_behind_them_reach_the_application(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.options("/health", headers={"origin": LISTED})
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (405, LISTED)


async def test_refusals_and_faults_of_every_way_in_are_readable(api: Api, transactions: Breaking) -> None:
    api.rest.headers["origin"] = LISTED
    document = example_path("/api/projects/{project_id}/documents/{document_id}/download")
    models = example_path("/public/{project_id}/models")
    as_json, as_text = {"content-type": "application/json"}, {"content-type": "text/plain"}
    responses = [
        await api.rest.get(document, headers={"authorization": ""}),
        await api.rest.get(models, headers={"authorization": "Bearer lk_wrong"}),
        await api.rest.get(document),
        await api.rest.post("/graphql", content=b" " * 300_000, headers=as_json),
        await api.rest.post("/graphql", content=b"{}", headers=as_text),
    ]
    transactions.error = RateLimited("Too often.", kind="reads", retry_after=7)
    responses.append(await api.rest.get(document))
    transactions.error = RuntimeError("a fault of ours")
    responses.append(await api.rest.get(document))
    assert [response.status_code for response in responses] == [401, 401, 404, 413, 415, 429, 500]
    for response in responses:
        assert cors_headers(response).keys() == {"allow-origin", "expose-headers"}
        assert "x-request-id" in response.headers
    assert responses[-2].headers["retry-after"] == "7"


class TestAnyOrigin:
    """With `*`, what an API key protects is open to pages on every origin, and nothing else is."""

    @pytest.fixture
    def origins(self) -> tuple[str, ...]:
        """The setting."""
        return ("*", LISTED)

    async def test_a_star_is_for_the_public_paths_alone(self, anonymous: httpx.AsyncClient) -> None:
        for method, path in EVERY_ROUTE:
            for origin in (LISTED, OTHER, "null"):
                expected = "*" if path.startswith("/public/") else LISTED if origin == LISTED else None
                allowed = await preflight(anonymous, method, path, origin)
                response = await anonymous.request(method, example_path(path), headers={"origin": origin})
                assert allowed.status_code == (200 if expected else 403)
                for headers in (cors_headers(allowed), cors_headers(response)):
                    assert headers.get("allow-origin") == expected
                    assert "allow-credentials" not in headers

    async def test_a_path_that_only_resembles_a_public_one_is_not_open(
        self, anonymous: httpx.AsyncClient
    ) -> None:
        for path in ("/public", "/publication", "/api/public/x", "//public/x", "/%2Fpublic/x"):
            response = await anonymous.get(path, headers={"origin": OTHER})
            assert cors_headers(response) == {}

    async def test_a_star_opens_no_websocket(self, application: ASGIApp) -> None:
        async with serving(application) as server:
            assert await opens(server, LISTED)
            assert not await opens(server, OTHER)


class TestNoOrigins:
    """Without the setting the server's own pages can call alone."""

    @pytest.fixture
    def origins(self) -> tuple[str, ...]:
        """The setting."""
        return ()

    async def test_no_page_may_call(self, anonymous: httpx.AsyncClient) -> None:
        for method, path in EVERY_ROUTE:
            assert (await preflight(anonymous, method, path, LISTED)).status_code == 403
            response = await anonymous.request(method, example_path(path), headers={"origin": LISTED})
            assert cors_headers(response) == {}


async def opens(server: str, origin: str | None) -> bool:
    """Whether a page on this origin can open a WebSocket; one that cannot is refused before the protocol begins."""
    protocol = Subprotocol("graphql-transport-ws")
    address = f"{server.replace('http', 'ws')}/graphql"
    named = Origin(origin) if origin else None
    try:
        async with connect(address, subprotocols=[protocol], origin=named):
            return True
    except InvalidStatus:
        return False


async def test_websockets_follow_the_listed_origins(application: ASGIApp) -> None:
    async with serving(application) as server:
        assert await opens(server, LISTED)
        assert await opens(server, server)
        assert await opens(server, None)
        assert not await opens(server, OTHER)
        assert not await opens(server, "null")


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        (" , ", ()),
        ("*", ("*",)),
        (
            "http://localhost:5173, https://App.Example.org,*",
            ("http://localhost:5173", "https://app.example.org", "*"),
        ),
        ("https://app.example.org/,", ("https://app.example.org",)),
        ("https://app.example.org:443,http://127.0.0.1:80", ("https://app.example.org", "http://127.0.0.1")),
        ("https://app.example.org:80", ("https://app.example.org:80",)),
        ("http://[::1]:3000", ("http://[::1]:3000",)),
        (
            "tauri://localhost,chrome-extension://abcdefgh",
            ("tauri://localhost", "chrome-extension://abcdefgh"),
        ),
    ],
)
def test_origins_are_read_as_browsers_send_them(text: str, origins: tuple[str, ...]) -> None:
    assert parse_origins(text) == origins


@pytest.mark.parametrize(
    "text",
    [
        "localhost:5173",
        "https://app.example.org/console",
        "https://app.example.org?a",
        "https://*.example.org",
        "https://me@example.org",
        "https://app.example.org:65536",
        "https://app.example.org:",
        "https://münchen.example",
        "https://",
        "null",
        "http://a http://b",
        "http://a\nhttp://b",
    ],
)
def test_what_is_not_an_origin_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it is a list of origins with commas between, such as https://"):
        parse_origins(f"http://localhost:5173,{text}")
