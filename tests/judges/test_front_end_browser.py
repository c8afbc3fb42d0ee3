"""A front end on another origin than the API's, in a browser: the main workflow, and what foreign pages cannot do."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from app.settings import Settings
from app.wiring import Wiring
from domain.rate_limits import CallKind, Rate
from domain.services import Services
from infra.rate_limiter import open_rate_limiter
from tests.conftest import Worker, assemble
from tests.fakes.runtime import FakeRuntime
from tests.judges.browser import CHROMIUM, DRIVER, NEEDED, Page, browser
from tests.judges.conftest import SCRIPTS
from tests.rest.gateway_fakes import COUNTED, DONE, FakeModel, serving, stream, text_event
from tests.routes import EVERY_ROUTE, example_path

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not ((CHROMIUM and DRIVER) or NEEDED), reason="needs Debian's chromium and chromium-driver"
    ),
]

LIMITS = dict.fromkeys(CallKind, Rate(1_000, 60)) | {CallKind.UPLOADS: Rate(5, 60)}
PAGE = """<!doctype html>
<title>A front end</title>
<link rel="icon" href="data:,">
<pre id="outcome"></pre>
<script type="module" src="/front_end/{script}.mjs"></script>
"""
PROTOCOLS = (
    "health",
    "register",
    "get",
    "subscription",
    "upload",
    "ticket",
    "eventSource",
    "webSocket",
    "chat",
)
"""What `attempts.mjs` tries, each by the means of its protocol, beside the routes that it is given."""


SEEN = {
    "register": [200, ["x-request-id"]],
    "viewer": "page@example.org",
    "form": [201, ["x-request-id"], "form.csv"],
    "presigned": [200, ["etag"]],
    "sse": [200, ["x-request-id"], "SUCCESS"],
    "webSocket": {"status": "SUCCESS", "error": None},
    "eventSource": ["checkpoint", "log", "progress"],
    "dataset": [200, ["content-disposition", "x-request-id"], 'attachment; filename="From_a_page_v1.csv"', 4],
    "part": [
        206,
        ["accept-ranges", "content-disposition", "content-range", "etag", "x-request-id"],
        "bytes 0-7/87",
        "question",
    ],
    "unchanged": 304,
    "byTicket": [200, True],
    "answer": [200, ["x-request-id"], "The capital of Japan is Tokyo."],
    "unauthenticated": [401, ["x-request-id"], "UNAUTHENTICATED"],
    "notFound": [404, ["x-request-id"], "DOCUMENT_NOT_FOUND"],
    "wrongKey": [401, ["x-request-id"], "invalid_api_key"],
    "limited": [429, ["retry-after", "x-request-id"], "RATE_LIMITED"],
}
"""What the page of `main_job.mjs` has seen of each response: its status, the headers that it could read, the end."""


def _page(request: Request) -> HTMLResponse:
    return HTMLResponse(PAGE.format(script=request.path_params["script"]))


FRONT_END = Starlette(
    routes=[
        Mount("/front_end", StaticFiles(directory=SCRIPTS / "front_end")),
        Mount("/graphql-ws", StaticFiles(directory=SCRIPTS / "node_modules" / "graphql-ws" / "dist")),
        Route("/{script}", _page),
    ]
)


@pytest.fixture
async def front_end() -> AsyncIterator[str]:
    """A front end on an origin that `ORIGINS` names."""
    async with serving(FRONT_END) as url:
        yield url


@pytest.fixture
async def services(services: Services) -> AsyncIterator[Services]:
    """The ports with a limit of uploads."""
    async with open_rate_limiter(LIMITS, "memory://") as rate_limiter:
        yield replace(services, rate_limiter=rate_limiter)


@pytest.fixture
async def application(
    wiring: Wiring,
    services: Services,
    settings: Settings,
    front_end: str,
    clean: None,  # noqa: ARG001
) -> ASGIApp:
    """The application with the front end's origin."""
    return assemble(wiring, services, settings.model_copy(update={"origins": (front_end,)}))


@pytest.fixture
async def model(wiring: Wiring, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A fake model server that streams one answer in place of the fine-tuned model."""
    fake = FakeModel()
    texts = [text_event("The capital of Japan "), text_event("is Tokyo."), text_event("", "stop")]
    fake.respond = stream([*texts, COUNTED, DONE])
    async with serving(fake) as url:
        runtime.base_url = f"{url}/v1"
        monkeypatch.setattr(wiring.gateway, "_runtime", runtime)
        yield


@pytest.fixture
async def working(worker: Worker) -> AsyncIterator[None]:
    """A worker that runs jobs as they come."""
    task = asyncio.create_task(
        worker.queue.run_worker_async(
            concurrency=4,
            install_signal_handlers=False,
            listen_notify=False,  # to be cancelled while it listens would break its connection off
            fetch_job_polling_interval=0.05,
            delete_jobs="successful",
        )
    )
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def outcome(page: Page, front_end: str, script: str, **given: str) -> dict[str, Any]:
    """What a page shows at its end."""
    await page.open(f"{front_end}/{script}?{urlencode(given)}")
    shown: dict[str, Any] = json.loads(await page.text("#outcome"))
    return shown


@pytest.mark.usefixtures("model", "working")
async def test_a_page_on_another_origin_does_the_main_job_and_one_that_is_not_named_nothing(
    wiring: Wiring, services: Services, settings: Settings, live: str, front_end: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        foreign = await stack.enter_async_context(serving(FRONT_END))
        any_origin = settings.model_copy(update={"origins": (front_end, "*")})
        open_to_all = await stack.enter_async_context(serving(assemble(wiring, services, any_origin)))
        page = stack.enter_context(browser(tmp_path))

        done = await outcome(page, front_end, "main_job", server=live)
        assert done.get("error") is None
        assert done["seen"] == SEEN
        assert [error for error in await page.console_errors() if "CORS" in error] == []

        routes = [(method, example_path(path)) for method, path in EVERY_ROUTE]
        names = {*PROTOCOLS, *(f"{method} {path}" for method, path in routes)}
        public = {"chat", *(name for name in names if "/public/" in name)}
        made = done["made"] | {"routes": json.dumps(routes)}
        assert await readable(page, front_end, made, live) == names
        assert await readable(page, foreign, made, live) == set()
        assert await readable(page, foreign, moved(made, live, open_to_all), open_to_all) == public


async def readable(page: Page, origin: str, made: dict[str, str], server: str) -> set[str]:
    """The calls whose responses a page can read."""
    attempts = await outcome(page, origin, "attempts", server=server, **made)
    assert len(attempts) > len(EVERY_ROUTE)
    return {name for name, is_readable in attempts.items() if is_readable}


def moved(made: dict[str, str], server: str, other: str) -> dict[str, str]:
    """The values of `made`, with the address `other` wherever they name the address `server`."""
    return {name: value.replace(server, other) for name, value in made.items()}
