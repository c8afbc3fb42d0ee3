"""Runs every example of docs/api.md in order, and compares its output with the page."""

import asyncio
import json
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute

from app.asgi import add_routes
from app.settings import Settings
from app.wiring import Wiring
from domain import ids
from domain.ids import Noun
from domain.rate_limits import DOCUMENTED
from domain.services import Services
from infra.rate_limiter import open_rate_limiter
from rest.gateway import _gateway
from tests.clients import Api
from tests.conftest import Worker
from tests.external import KEY
from tests.fakes.runtime import FakeRuntime
from tests.rest.gateway_fakes import CHAT, FakeModel, serving, whole

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text()
SERVER = "http://localhost:8000"
BLOCK = re.compile(r"^```(\w+) ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARIES = re.compile(r"[\w.-]+…")
TOKYO = "The capital of Japan is Tokyo."
ROW = re.compile(r"^\| ((?:`[A-Z]+`(?:, )?)+) \| `(/\S*)` \| ([^|]+) \|", re.MULTILINE)
"""A row of the table of paths: methods, path and credentials."""
OPEN_TO = {
    "anyone": {"nobody", "bearer", "ticket", "worker"},
    "bearer": {"bearer"},
    "bearer or ticket": {"bearer", "ticket"},
    "bearer or worker's key": {"bearer", "worker"},
    "deployment's key": set(),
}
"""The credentials that are not refused with 401, by the page's words."""
PROGRAMS = {
    "python": [sys.executable, "-c"],
    "js": [str(Path(sys.executable).with_name("node")), "--input-type=module", "--eval"],
}


@pytest.fixture
async def services(services: Services) -> AsyncIterator[Services]:
    """The ports with the rate limits of the page, and a key for external workers."""
    async with open_rate_limiter(DOCUMENTED, "memory://") as rate_limiter:
        yield replace(services, rate_limiter=rate_limiter, external_api_key=KEY["x-api-key"])


@pytest.fixture
async def model(wiring: Wiring, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A fake model server with one response in place of the fine-tuned model; `tests/test_main_job.py` uses a trained one."""
    choice = {"index": 0, "message": {"role": "assistant", "content": TOKYO}, "finish_reason": "stop"}
    fake = FakeModel()
    fake.respond = whole(200, CHAT | {"choices": [choice]})
    async with serving(fake) as url:
        runtime.base_url = f"{url}/v1"
        monkeypatch.setattr(wiring.gateway, "_runtime", runtime)
        yield


@dataclass(frozen=True, slots=True)
class Example:
    """A program or request, and its output."""

    language: str
    text: str
    variables: str
    outcome: str


def examples(page: str) -> Iterator[Example]:
    """The examples of a page; raises ValueError for a block that is not part of an example."""
    blocks = iter(BLOCK.findall(page))
    for language, role, text in blocks:
        variables, (_, next_role, outcome) = "{}", next(blocks, ("", "nothing", ""))
        if next_role == "variables":
            variables, (_, next_role, outcome) = outcome, next(blocks, ("", "nothing", ""))
        if role or language not in {"graphql", "sh", *PROGRAMS} or next_role not in {"response", "output"}:
            raise ValueError(f"This block is not part of an example with an output:\n{text}")
        yield Example(language, text, variables, outcome)


@dataclass
class Reader:
    """Runs examples in order; a value that an output has for `prj_…` replaces `prj_…` in later examples."""

    url: str
    values: dict[str, str] = field(default_factory=dict)

    async def run(self, example: Example) -> None:
        """Run an example and compare its output; `…` in the page matches any text."""
        text = self._filled(example.text)
        if example.language in PROGRAMS:
            self._compare(example.outcome, await self._program(example.language, text))
            return
        request = (
            curl(text) if example.language == "sh" else self._operation(text, self._filled(example.variables))
        )
        async with httpx.AsyncClient(base_url=self.url) as client:
            response = await client.request(**{"method": "POST"} | request)
        self._compare(example.outcome, response.text or str(response.status_code))

    def _filled(self, text: str) -> str:
        filled = VARIES.sub(lambda match: self.values.get(match[0], match[0]), text)
        local = filled.replace(SERVER, self.url).replace(
            SERVER.replace("http", "ws"), self.url.replace("http", "ws")
        )
        return local.replace("$TOKEN", self._token)

    @property
    def _token(self) -> str:
        return self.values.get("eyJ…", "")

    def _operation(self, query: str, variables: str) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        body = {"query": query, "variables": json.loads(variables)}
        return {"url": "/graphql", "json": body, "headers": headers}

    async def _program(self, language: str, text: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *PROGRAMS[language], text, cwd=ROOT / "tests" / "node", env=os.environ | {"TOKEN": self._token},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    def _compare(self, outcome: str, output: str) -> None:
        expected = outcome.replace(SERVER, self.url)
        if not output.startswith("{"):
            parts = map(re.escape, expected.strip().split("…"))
            assert re.fullmatch(".*".join(parts), output.strip(), re.DOTALL), output
            return
        document, response = json.loads(expected), json.loads(output)
        if "extensions" not in document:
            response.pop("extensions", None)
        values: dict[str, str] = {}
        assert response == completed(document, response, values)
        self.values |= values


def completed(expected: Any, actual: Any, values: dict[str, str]) -> Any:
    """`expected` with the actual values for `…`; each value like `prj_…` is the same everywhere, and put into `values`."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        rest = actual if "…" in expected else {}
        return rest | {
            name: completed(value, actual.get(name), values)
            for name, value in expected.items()
            if name != "…"
        }
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [completed(*pair, values) for pair in zip(expected, actual, strict=True)]
    if isinstance(expected, str) and isinstance(actual, str) and expected.endswith("…"):
        if not actual.startswith(expected.removesuffix("…")):
            return expected
        return values.setdefault(expected, actual) if VARIES.fullmatch(expected) else actual
    return expected


def curl(command: str) -> dict[str, Any]:
    """The request of a curl command line, as arguments of httpx."""
    request: dict[str, Any] = {"headers": {}, "data": {}, "files": []}
    words = iter(shlex.split(command.replace("\\\n", " "))[1:])
    for word in words:
        if word == "-H":
            name, _, request["headers"][name] = next(words).partition(": ")
        elif word == "-d":
            request["content"] = next(words)
        elif word == "-T":
            request |= {"method": "PUT", "content": (ROOT / next(words)).read_bytes()}
        elif word == "-w":
            assert next(words) == "%{http_code}"
        elif word == "-F":
            _add_part(request, next(words))
        elif not word.startswith("-"):
            request["url"] = word
    return {name: value for name, value in request.items() if value}


def _add_part(request: dict[str, Any], part: str) -> None:
    name, _, value = part.partition("=")
    if value.startswith("@"):
        path, _, media_type = value[1:].partition(";type=")
        request["files"].append((name, (Path(path).name, (ROOT / path).read_bytes(), media_type)))
    else:
        request["data"][name] = value


@pytest.mark.usefixtures("model")
async def test_every_example_of_the_api_page_has_the_output_of_the_page(live: str, worker: Worker) -> None:
    reader, found = Reader(live), list(examples(PAGE))
    assert {example.language for example in found} == {"graphql", "sh", *PROGRAMS}
    for example in found:
        await reader.run(example)
        await worker.drain()


def rows() -> list[tuple[str, str, str]]:
    """Method, path and credentials of each row of the page's table of paths."""
    return [
        (method, path, credentials)
        for methods, path, credentials in ROW.findall(PAGE)
        for method in re.findall(r"[A-Z]+", methods)
    ]


def served(wiring: Wiring, settings: Settings) -> list[tuple[str, str]]:
    """Method and path of every route of the application and the gateway."""
    app = Starlette()
    add_routes(app, wiring, settings)
    found = [
        (method, f"/public/{{project_id}}/{endpoint}") for endpoint, method in _gateway.ENDPOINTS.items()
    ]
    for route in app.routes:
        match route:
            case Route(methods=methods, path=path):
                found += [(method, path) for method in methods or ("GET", "POST") if method != "HEAD"]
            case WebSocketRoute(path=path):
                found.append(("WS", path))
            case _:
                assert isinstance(route, Mount)
                assert (route.path, route.app) == ("/public", wiring.gateway)
    return found


def test_the_page_has_every_path_of_the_application(wiring: Wiring, settings: Settings) -> None:
    assert sorted(row[:2] for row in rows()) == sorted(served(wiring, settings))


async def test_each_path_accepts_the_credentials_of_the_page(
    api: Api, anonymous: httpx.AsyncClient, services: Services
) -> None:
    seen: dict[tuple[str, str], set[str]] = {}
    for method, path, _ in rows():
        url = re.sub(
            r"{(\w+?)(_id)?}",
            lambda parameter: ids.new(Noun(parameter[1].capitalize())) if parameter[2] else parameter[1],
            path,
        )
        requests: dict[str, dict[str, Any]] = {
            "nobody": {},
            "bearer": {"headers": {"authorization": f"Bearer {api.token}"}},
            "ticket": {"params": {"ticket": services.tokens.ticket(api.user_id, url)[0]}},
            "worker": {"headers": KEY},
        }
        if method != "WS":
            statuses = {
                credential: (await anonymous.request(method, url, **arguments)).status_code
                for credential, arguments in requests.items()
            }
            seen[method, path] = {credential for credential, status in statuses.items() if status != 401}
    assert seen == {(method, path): OPEN_TO[words] for method, path, words in rows() if method != "WS"}


def test_a_difference_from_the_page_is_found() -> None:
    values: dict[str, str] = {}
    actual = {"id": "prj_1", "again": "prj_1", "name": "x", "time": "now"}
    expected = {"id": "prj_…", "again": "prj_…", "name": "x", "time": "…"}
    assert completed(expected, actual, values) == actual
    assert values == {"prj_…": "prj_1"}
    assert completed(expected, actual | {"again": "prj_2"}, {}) != actual | {"again": "prj_2"}
    assert completed(expected, actual | {"id": "ds_1"}, {}) != actual | {"id": "ds_1"}
    assert completed(expected, actual | {"more": 1}, {}) != actual | {"more": 1}
    assert completed(expected | {"…": "…"}, actual | {"more": 1}, {}) == actual | {"more": 1}
    assert completed([1], [1, 2], {}) != [1, 2]


def test_a_block_that_is_not_part_of_an_example_is_refused() -> None:
    for page in (
        "```graphql\n{ a }\n```\n",
        "```json\n{}\n```\n",
        "```ruby\na\n```\n```text output\na\n```\n",
    ):
        with pytest.raises(ValueError, match="not part of an example"):
            list(examples(page))
