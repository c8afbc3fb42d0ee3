"""Every example of docs/api.md is run, in the page's order, and answers what the page says."""

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
from tests.rest.gateway_world import CHAT, FakeModel, serving, whole

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text()
SERVER = "http://localhost:8000"
BLOCK = re.compile(r"^```(\w+) ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARIES = re.compile(r"[\w.-]+…")
TOKYO = "The capital of Japan is Tokyo."
ROW = re.compile(r"^\| ((?:`[A-Z]+`(?:, )?)+) \| `(/\S*)` \| ([^|]+) \|", re.MULTILINE)
"""A row of the table of paths: methods, path, and who is let in."""
OPEN_TO = {
    "anyone": {"nobody", "bearer", "ticket", "worker"},
    "bearer": {"bearer"},
    "bearer or ticket": {"bearer", "ticket"},
    "bearer or worker's key": {"bearer", "worker"},
    "deployment's key": set(),
}
"""Which credentials are not answered with 401."""
PROGRAMS = {
    "python": [sys.executable, "-c"],
    "js": [str(Path(sys.executable).with_name("node")), "--input-type=module", "--eval"],
}


@pytest.fixture
async def services(services: Services) -> AsyncIterator[Services]:
    """The same ports, with the rate limits that the page tells of, and a key for external workers."""
    async with open_rate_limiter(DOCUMENTED, "memory://") as rates:
        yield replace(services, rates=rates, external_api_key=KEY["x-api-key"])


@pytest.fixture
async def model(wiring: Wiring, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """What answers as the tuned model: it knows one capital. `tests/test_main_job.py` asks a trained one."""
    choice = {"index": 0, "message": {"role": "assistant", "content": TOKYO}, "finish_reason": "stop"}
    knowing = FakeModel()
    knowing.answer = whole(200, CHAT | {"choices": [choice]})
    async with serving(knowing) as url:
        runtime.base_url = f"{url}/v1"
        monkeypatch.setattr(wiring.gateway, "_runtime", runtime)
        yield


@dataclass(frozen=True, slots=True)
class Example:
    """Something to run, and what comes of it."""

    language: str
    text: str
    variables: str
    outcome: str


def examples(page: str) -> Iterator[Example]:
    """The examples of a page; raises ValueError for a block that is part of none."""
    blocks = iter(BLOCK.findall(page))
    for language, role, text in blocks:
        variables, (_, follows, outcome) = "{}", next(blocks, ("", "nothing", ""))
        if follows == "variables":
            variables, (_, follows, outcome) = outcome, next(blocks, ("", "nothing", ""))
        if role or language not in {"graphql", "sh", *PROGRAMS} or follows not in {"answer", "output"}:
            raise ValueError(f"This is no example, or nothing says what comes of it:\n{text}")
        yield Example(language, text, variables, outcome)


@dataclass
class Reader:
    """Someone who follows the page, and puts what stood where it has `prj_…` where it has that again."""

    url: str
    values: dict[str, str] = field(default_factory=dict)

    async def follow(self, example: Example) -> None:
        """Run an example and compare; where the page has `…` anything will do."""
        text = self._filled(example.text)
        if example.language in PROGRAMS:
            self._compare(example.outcome, await self._program(example.language, text))
            return
        sent = (
            curl(text) if example.language == "sh" else self._operation(text, self._filled(example.variables))
        )
        async with httpx.AsyncClient(base_url=self.url) as client:
            reply = await client.request(**{"method": "POST"} | sent)
        self._compare(example.outcome, reply.text or str(reply.status_code))

    def _filled(self, text: str) -> str:
        own = VARIES.sub(lambda found: self.values.get(found[0], found[0]), text)
        here = own.replace(SERVER, self.url).replace(
            SERVER.replace("http", "ws"), self.url.replace("http", "ws")
        )
        return here.replace("$TOKEN", self._token)

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

    def _compare(self, outcome: str, said: str) -> None:
        shown = outcome.replace(SERVER, self.url)
        if not said.startswith("{"):
            parts = map(re.escape, shown.strip().split("…"))
            assert re.fullmatch(".*".join(parts), said.strip(), re.DOTALL), said
            return
        wanted, answer = json.loads(shown), json.loads(said)
        if "extensions" not in wanted:
            answer.pop("extensions", None)
        found: dict[str, str] = {}
        assert answer == fitted(wanted, answer, found)
        self.values |= found


def fitted(shown: Any, said: Any, found: dict[str, str]) -> Any:
    """What is shown, with what was said in the places that it leaves open; the same `prj_…` is the same everywhere."""
    if isinstance(shown, dict) and isinstance(said, dict):
        rest = said if "…" in shown else {}
        return rest | {name: fitted(it, said.get(name), found) for name, it in shown.items() if name != "…"}
    if isinstance(shown, list) and isinstance(said, list) and len(shown) == len(said):
        return [fitted(*pair, found) for pair in zip(shown, said, strict=True)]
    if isinstance(shown, str) and isinstance(said, str) and shown.endswith("…"):
        fits = said.startswith(shown.removesuffix("…"))
        return (found.setdefault(shown, said) if VARIES.fullmatch(shown) else said) if fits else shown
    return shown


def curl(command: str) -> dict[str, Any]:
    """What a command line of curl sends, as httpx takes it."""
    sent: dict[str, Any] = {"headers": {}, "data": {}, "files": []}
    words = iter(shlex.split(command.replace("\\\n", " "))[1:])
    for word in words:
        if word == "-H":
            name, _, sent["headers"][name] = next(words).partition(": ")
        elif word == "-d":
            sent["content"] = next(words)
        elif word == "-T":
            sent |= {"method": "PUT", "content": (ROOT / next(words)).read_bytes()}
        elif word == "-w":
            assert next(words) == "%{http_code}"
        elif word == "-F":
            _add_part(sent, next(words))
        elif not word.startswith("-"):
            sent["url"] = word
    return {name: it for name, it in sent.items() if it}


def _add_part(sent: dict[str, Any], part: str) -> None:
    name, _, value = part.partition("=")
    if value.startswith("@"):
        path, _, media_type = value[1:].partition(";type=")
        sent["files"].append((name, (Path(path).name, (ROOT / path).read_bytes(), media_type)))
    else:
        sent["data"][name] = value


@pytest.mark.usefixtures("model")
async def test_every_example_of_the_page_about_the_api_does_what_it_says(live: str, worker: Worker) -> None:
    reader, found = Reader(live), list(examples(PAGE))
    assert {it.language for it in found} == {"graphql", "sh", *PROGRAMS}
    for example in found:
        await reader.follow(example)
        await worker.drain()


def rows() -> list[tuple[str, str, str]]:
    """Method, path and who is let in, for each method of each path in the page's table."""
    return [
        (method, path, who)
        for methods, path, who in ROW.findall(PAGE)
        for method in re.findall(r"[A-Z]+", methods)
    ]


def served(wiring: Wiring, settings: Settings) -> list[tuple[str, str]]:
    """Method and path of everything that the application and the gateway answer."""
    app = Starlette()
    add_routes(app, wiring, settings)
    found = [(method, f"/public/{{project_id}}/{it}") for it, method in _gateway.ENDPOINTS.items()]
    for route in app.routes:
        match route:
            case Route(methods=methods, path=path):
                found += [(it, path) for it in methods or ("GET", "POST") if it != "HEAD"]
            case WebSocketRoute(path=path):
                found.append(("WS", path))
            case _:
                assert isinstance(route, Mount)
                assert (route.path, route.app) == ("/public", wiring.gateway)
    return found


def test_the_page_has_every_path_of_the_application(wiring: Wiring, settings: Settings) -> None:
    assert sorted(it[:2] for it in rows()) == sorted(served(wiring, settings))


async def test_each_path_lets_in_whom_the_page_names(
    api: Api, anonymous: httpx.AsyncClient, services: Services
) -> None:
    seen: dict[tuple[str, str], set[str]] = {}
    for method, path, _ in rows():
        url = re.sub(
            r"{(\w+?)(_id)?}", lambda it: ids.new(Noun(it[1].capitalize())) if it[2] else it[1], path
        )
        credentials: dict[str, dict[str, Any]] = {
            "nobody": {},
            "bearer": {"headers": {"authorization": f"Bearer {api.token}"}},
            "ticket": {"params": {"ticket": services.tokens.ticket(api.user_id, url)[0]}},
            "worker": {"headers": KEY},
        }
        if method != "WS":
            statuses = {
                it: (await anonymous.request(method, url, **sent)).status_code
                for it, sent in credentials.items()
            }
            seen[method, path] = {it for it, status in statuses.items() if status != 401}
    assert seen == {(method, path): OPEN_TO[who] for method, path, who in rows() if method != "WS"}


def test_what_differs_from_the_page_is_seen() -> None:
    found: dict[str, str] = {}
    said = {"id": "prj_1", "again": "prj_1", "name": "x", "time": "now"}
    shown = {"id": "prj_…", "again": "prj_…", "name": "x", "time": "…"}
    assert fitted(shown, said, found) == said
    assert found == {"prj_…": "prj_1"}
    assert fitted(shown, said | {"again": "prj_2"}, {}) != said | {"again": "prj_2"}
    assert fitted(shown, said | {"id": "ds_1"}, {}) != said | {"id": "ds_1"}
    assert fitted(shown, said | {"more": 1}, {}) != said | {"more": 1}
    assert fitted(shown | {"…": "…"}, said | {"more": 1}, {}) == said | {"more": 1}
    assert fitted([1], [1, 2], {}) != [1, 2]


def test_a_block_that_nobody_would_run_is_refused() -> None:
    for page in (
        "```graphql\n{ a }\n```\n",
        "```json\n{}\n```\n",
        "```ruby\na\n```\n```text output\na\n```\n",
    ):
        with pytest.raises(ValueError, match="no example"):
            list(examples(page))
