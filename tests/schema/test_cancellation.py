"""A cancelled part of an operation does not cancel the others, and is reported as an internal error."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp

from app.asgi import HANDLERS, add_routes, with_middleware
from app.settings import Settings
from app.wiring import Wiring
from domain.job_events import LogLine, RecordedEvent
from domain.services import Services
from schema import engine
from tests.clients import Api
from tests.jobs import queued_job
from tests.schema.transports import JOB_EVENTS, results_over_http, results_over_sse, results_over_websocket

pytestmark = pytest.mark.anyio

REFUSED = ("first: 0", 'after: "x"')
TICKET = '{ ticket(path: "/api/x") { ticket } }'
MASKED = "Something went wrong inside Luthier."


@pytest.fixture(params=[True, False], ids=["by_column", "stock"])
async def application(
    request: pytest.FixtureRequest,
    wiring: Wiring,
    services: Services,
    settings: Settings,
    clean: None,  # noqa: ARG001
) -> ASGIApp:
    app = Starlette(exception_handlers=HANDLERS)
    add_routes(
        app, replace(wiring, services=services), settings.model_copy(update={"fast_execution": request.param})
    )
    return with_middleware(app, settings)


def cancelled(*_: Any, **__: Any) -> Any:
    raise asyncio.CancelledError


async def cancelled_between(*_: Any, **__: Any) -> AsyncIterator[RecordedEvent]:
    yield RecordedEvent("job_x", 1, datetime.now(UTC), LogLine("before the error"))
    raise asyncio.CancelledError


async def project(api: Api) -> str:
    """A new project's id."""
    made = await api.mutate("createProject", "project { id }", name="P")
    return str(made["project"]["id"])


def beside(refused: str) -> str:
    """A document with two branches that load the same key, of which one has a refused field."""
    return f"""query($id: ID!) {{
      a: project(id: $id) {{ datasets(first: 2) {{ nodes {{ id }} }} jobs({refused}) {{ nodes {{ id }} totalCount }} }}
      b: project(id: $id) {{ datasets(first: 2) {{ nodes {{ id }} }} name }} }}"""


STREAMED = (results_over_sse, results_over_websocket)
EVERYWHERE = (results_over_http, *STREAMED)


@pytest.mark.parametrize("refused", REFUSED)
@pytest.mark.parametrize("ask", EVERYWHERE)
async def test_a_refused_field_does_not_affect_another_branch(
    live: str, api: Api, ask: Any, refused: str
) -> None:
    id = await project(api)
    (body,) = await ask(live, api, beside(refused), id=id)
    assert body["data"] == {"a": None, "b": {"datasets": {"nodes": []}, "name": "P"}}
    (error,) = body["errors"]
    assert error["path"] == ["a", "jobs"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


def assert_internal_error(
    body: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    fault: type[BaseException] = asyncio.CancelledError,
) -> None:
    """Assert that a result has one masked error, and that the log has its cause and request id."""
    (error,) = body["errors"]
    assert (error["message"], error["extensions"]["code"]) == (MASKED, "INTERNAL")
    ids = [
        getattr(record, "request_id", None) for record in caplog.records if record.levelno >= logging.ERROR
    ]
    assert ids == [error["extensions"]["requestId"]]
    assert fault.__name__ in caplog.text


@pytest.mark.parametrize("ask", EVERYWHERE)
async def test_a_resolver_that_something_else_cancels_is_an_internal_error(
    live: str,
    api: Api,
    services: Services,
    ask: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(type(services.tokens), "ticket", cancelled)
    (body,) = await ask(live, api, TICKET)
    assert_internal_error(body, caplog)


@pytest.mark.parametrize("fault", [asyncio.CancelledError, RuntimeError])
@pytest.mark.parametrize("ask", EVERYWHERE)
async def test_an_exception_before_the_execution_is_an_internal_error(
    live: str,
    api: Api,
    ask: Any,
    fault: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(*_: Any) -> None:
        raise fault("the inside of Luthier")

    monkeypatch.setattr(engine, "rate_limit_error", broken)
    (body,) = await ask(live, api, TICKET)
    assert "the inside" not in json.dumps(body)
    assert_internal_error(body, caplog, fault)


async def test_an_internal_error_is_json_with_status_500(
    api: Api, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(services.tokens), "ticket", cancelled)
    media = "application/graphql-response+json"
    response = await api.rest.post("/graphql", json={"query": TICKET}, headers={"accept": media})
    assert response.status_code == 500
    assert response.headers["content-type"].startswith(media)


@pytest.mark.parametrize("ask", STREAMED)
async def test_a_stream_whose_source_is_cancelled_ends_with_an_internal_error(
    live: str,
    api: Api,
    services: Services,
    ask: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = await queued_job(api, services)
    monkeypatch.setattr(type(services.job_streams), "events", cancelled_between)
    first, last = await ask(live, api, JOB_EVENTS, id=job.id, after=None)
    assert first["data"]["jobEvents"]["line"] == "before the error"
    assert_internal_error(last, caplog)
