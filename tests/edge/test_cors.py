"""Pages on other origins: preflights and readable responses on every path of the application."""

import re
from dataclasses import replace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from app.asgi import HANDLERS, add_routes, with_middleware
from app.settings import Settings
from app.wiring import Wiring
from domain import ids
from domain.errors import RateLimited
from domain.ids import Noun
from domain.services import Services
from edge.cors import EXPOSED, parse_origins
from tests.breaking import Breaking
from tests.clients import Api
from tests.rest.gateway_fakes import serving
from tests.routes import ROUTES

pytestmark = pytest.mark.anyio

LISTED, OTHER = "http://localhost:5173", "https://evil.example"
PUBLIC = {
    ("GET", "/public/{project_id}/models"),
    ("POST", "/public/{project_id}/v1/chat/completions"),
    ("POST", "/public/{project_id}/completions"),
}
PATHS = sorted({*ROUTES, ("GET", "/graphql"), ("POST", "/graphql"), *PUBLIC})
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
ASKED = "authorization,content-type,idempotency-key,x-stainless-lang"


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
    opened = settings.model_copy(update={"origins": origins})
    app = Starlette(exception_handlers=HANDLERS)
    add_routes(app, replace(wiring, services=services), opened)
    return with_middleware(app, opened)


def url(path: str) -> str:
    """The path with values for its parameters."""
    return re.sub(
        r"{(\w+?)(_id)?}",
        lambda parameter: ids.new(Noun(parameter[1].capitalize())) if parameter[2] else parameter[1],
        path,
    )


async def preflight(
    rest: httpx.AsyncClient, method: str, path: str, origin: str, **more: str
) -> httpx.Response:
    """The response to a browser's question whether a page may call."""
    asked = {"access-control-request-method": method, "access-control-request-headers": ASKED}
    return await rest.options(url(path), headers={"origin": origin} | asked | more)


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
    for method, path in PATHS:
        response = await preflight(anonymous, method, path, LISTED)
        assert response.status_code == 200
        assert cors_headers(response) == {
            "allow-origin": LISTED,
            "allow-methods": ", ".join(METHODS),
            "allow-headers": ASKED,
            "max-age": "7200",
        }
        assert varies_by_origin(response)
        assert "x-request-id" in response.headers


async def test_a_preflight_of_every_path_from_another_origin_is_refused_with_a_sentence(
    anonymous: httpx.AsyncClient,
) -> None:
    for method, path in PATHS:
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
    for method, path in PATHS:
        for origin in (LISTED, OTHER, "null", f"{LISTED}.evil.example", f"{LISTED}0", None):
            headers = {"origin": origin} if origin else {}
            response = await anonymous.request(method, url(path), headers=headers)
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


async def test_refusals_and_faults_of_every_way_in_are_readable(
    api: Api, services: Services, transactions: Breaking
) -> None:
    api.rest.headers["origin"] = LISTED
    project = ids.new(Noun.PROJECT)
    document = f"/api/projects/{project}/documents/{ids.new(Noun.DOCUMENT)}/download"
    key = {"authorization": "Bearer lk_wrong"}
    seen = {
        401: await api.rest.get(document, headers={"authorization": ""}),
        404: await api.rest.get(document),
        413: await api.rest.post(
            "/graphql", content=b" " * 300_000, headers={"content-type": "application/json"}
        ),
        415: await api.rest.post("/graphql", content=b"{}", headers={"content-type": "text/plain"}),
        "key": await api.rest.get(f"/public/{project}/models", headers=key),
        "graphql": await api.rest.post("/graphql", json={"query": "{ nothing }"}),
    }
    transactions.error = RateLimited("Too often.", kind="reads", retry_after=7)
    seen[429] = await api.rest.get(document)
    transactions.error = RuntimeError("a fault of ours")
    seen[500] = await api.rest.get(document)
    for status, response in seen.items():
        assert response.status_code == status or isinstance(status, str), response.text
        assert response.headers["access-control-allow-origin"] == LISTED
        assert "x-request-id" in response.headers
    assert seen["key"].status_code == 401
    assert seen[429].headers["retry-after"] == "7"
    assert services.transactions is transactions


class TestAnyOrigin:
    """With `*`, what an API key protects is open to pages on every origin, and nothing else is."""

    @pytest.fixture
    def origins(self) -> tuple[str, ...]:
        """The setting."""
        return ("*", LISTED)

    async def test_a_star_is_for_the_public_paths_alone(self, anonymous: httpx.AsyncClient) -> None:
        for method, path in PATHS:
            for origin in (LISTED, OTHER, "null"):
                expected = "*" if path.startswith("/public/") else LISTED if origin == LISTED else None
                asked = await preflight(anonymous, method, path, origin)
                response = await anonymous.request(method, url(path), headers={"origin": origin})
                assert asked.status_code == (200 if expected else 403)
                for headers in (cors_headers(asked), cors_headers(response)):
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
        for method, path in PATHS:
            assert (await preflight(anonymous, method, path, LISTED)).status_code == 403
            response = await anonymous.request(method, url(path), headers={"origin": LISTED})
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
