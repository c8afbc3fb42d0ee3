"""GraphiQL's page and its files: everything from here, under a strict policy."""

import gzip
import re
from pathlib import Path

import httpx
import pytest
from graphql import build_schema, parse, validate

from rest import graphiql

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "web" / "graphiql" / "examples").iterdir())
SCHEMA = build_schema((ROOT / "schema" / "schema.graphql").read_text())
LINK = re.compile(r'(?:src|href)="([^"]*)"')
FONT_OR_IMAGE = re.compile(rb"url\(\s*['\"]?([^'\")\s]+)")


async def linked_files(anonymous: httpx.AsyncClient) -> list[str]:
    """The files that the page links to."""
    return [link for link in LINK.findall((await anonymous.get("/graphiql")).text) if link != "data:,"]


async def test_the_page_runs_only_scripts_of_ours_and_calls_only_this_host(
    anonymous: httpx.AsyncClient,
) -> None:
    response = await anonymous.get("/graphiql")
    (nonce,) = set(re.findall(r'nonce="([^"]*)"', response.text))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cross-origin-opener-policy"] == "same-origin"
    assert "microphone=()" in response.headers["permissions-policy"]
    assert response.headers["content-security-policy"].split("; ") == [
        "default-src 'none'",
        f"script-src 'nonce-{nonce}'",
        "worker-src 'self'",
        f"style-src 'nonce-{nonce}'",
        "style-src-attr 'unsafe-inline'",
        "font-src 'self'",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]


async def test_each_page_has_a_nonce_of_its_own(anonymous: httpx.AsyncClient) -> None:
    pages = {(await anonymous.get("/graphiql")).headers["content-security-policy"] for _ in range(3)}
    assert len(pages) == 3


async def test_everything_that_the_page_names_is_served_from_here(anonymous: httpx.AsyncClient) -> None:
    links = await linked_files(anonymous)
    assert {link.rpartition(".")[2] for link in links} == {"js", "css"}
    for link in links:
        assert link.startswith("/graphiql/assets/")
        assert (await anonymous.get(link)).status_code == 200


def test_no_file_names_a_source_map_or_a_style_sheet_font_or_image_elsewhere() -> None:
    files = [path for path in (graphiql.BUILT / "assets").iterdir() if path.suffix != ".gz"]
    named = {
        url for file in files if file.suffix == ".css" for url in FONT_OR_IMAGE.findall(file.read_bytes())
    }
    assert {file.suffix for file in files} == {".js", ".css", ".ttf"}
    assert not [file for file in files if b"sourceMappingURL=" in file.read_bytes()]
    assert not [url for url in named if not url.startswith((b"/graphiql/assets/", b"data:image/"))]


async def test_a_file_is_kept_for_ever_and_a_worker_may_load_nothing(anonymous: httpx.AsyncClient) -> None:
    (name,) = (path.name for path in (graphiql.BUILT / "assets").glob("graphql.worker-*.js"))
    response = await anonymous.get(f"/graphiql/assets/{name}", headers={"accept-encoding": "identity"})
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.content == (graphiql.BUILT / "assets" / name).read_bytes()


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip, deflate, br", "gzip"), ("br;q=1, gzip;q=0.5", "gzip"), ("br, gzip;q=0", None), ("", None)],
)
async def test_a_file_is_compressed_for_who_takes_that(
    anonymous: httpx.AsyncClient, accepted: str, encoding: str | None
) -> None:
    link = (await linked_files(anonymous))[0]
    response = await anonymous.get(link, headers={"accept-encoding": accepted})
    assert response.headers.get("content-encoding") == encoding
    assert response.headers["vary"] == "Accept-Encoding, Origin"
    assert (
        response.content == (graphiql.BUILT / link.removeprefix("/graphiql/")).read_bytes()
    )  # httpx unpacks


def test_what_is_compressed_is_what_lies_beside_it() -> None:
    packed = list((graphiql.BUILT / "assets").glob("*.gz"))
    assert packed
    assert not [
        path for path in packed if gzip.decompress(path.read_bytes()) != path.with_suffix("").read_bytes()
    ]


async def test_a_file_that_a_browser_has_is_not_sent_again(anonymous: httpx.AsyncClient) -> None:
    link = (await linked_files(anonymous))[0]
    first = await anonymous.get(link)
    again = await anonymous.get(link, headers={"if-none-match": first.headers["etag"]})
    other = await anonymous.get(
        link, headers={"if-none-match": first.headers["etag"], "accept-encoding": "br"}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize(
    "name",
    [
        "none.js",
        "..%2Findex.html",
        "..%2F..%2Fgraphiql.py",
        "%2e%2e",
        ".",
        "a%00.js",
        "../built-from",
        "x.js.gz",
    ],
)
async def test_no_other_file_is_served(anonymous: httpx.AsyncClient, name: str) -> None:
    response = await anonymous.get(f"/graphiql/assets/{name}")
    assert (response.status_code, response.json()["error_code"]) == (404, "NOT_FOUND")


async def test_the_servers_address_leads_a_browser_to_the_page(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "/graphiql")
    assert (await anonymous.get("/", follow_redirects=True)).headers["content-type"].startswith("text/html")
    assert (await anonymous.post("/")).status_code == 405


async def test_a_package_without_graphiql_answers_503(
    anonymous: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphiql, "BUILT", tmp_path)
    response = await anonymous.get("/graphiql")
    assert (response.status_code, response.json()["detail"]) == (
        503,
        "GraphiQL was left out when this Luthier was built.",
    )
    assert (await anonymous.get("/graphiql/assets/index.js")).status_code == 404
    assert (await anonymous.get("/")).status_code == 404


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.name))
def test_what_graphiql_begins_with_is_right(path: Path) -> None:
    assert validate(SCHEMA, parse(path.read_text())) == []
