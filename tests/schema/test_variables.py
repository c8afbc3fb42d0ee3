"""An explicit null for a variable with a default, in a position that takes no null, is bad user input."""

import asyncio
import json
import logging
from typing import Any

import pytest

from domain.job_events import LogLine
from domain.services import Services
from tests.clients import Api
from tests.jobs import queued_job, record_events, start_job
from tests.schema.transports import results_over_sse, results_over_websocket

pytestmark = pytest.mark.anyio

INCLUDED = "query($x: Boolean = true) { viewer { id @include(if: $x) } }"
LISTED = 'query($x: [ID!] = ["a"]) { nodes(ids: $x) { id } }'
NAMED = """mutation($x: String = "x") {
  createProject(input: {name: $x}) { project { id } userErrors { message } }
}"""
FOLLOWED = """subscription($id: ID!, $x: Boolean = true) {
  jobEvents(jobId: $id) { cursor @include(if: $x) __typename }
}"""
BEGUN = 'subscription($x: ID = "job_x") { jobEvents(jobId: $x) { cursor } }'


def logged_errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    ("document", "argument"),
    [(INCLUDED, "if"), (LISTED, "ids"), (NAMED, "input")],
    ids=["query", "list", "mutation"],
)
async def test_a_null_instead_of_a_default_is_bad_user_input(
    api: Api, caplog: pytest.LogCaptureFixture, document: str, argument: str
) -> None:
    (error,) = (await api.raw(document, x=None))["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["message"].startswith(f"Argument '{argument}' has invalid value")
    assert "$x" in error["message"]
    assert not logged_errors(caplog)
    assert "errors" not in await api.raw(document)


@pytest.mark.parametrize("ask", [results_over_sse, results_over_websocket])
async def test_a_null_that_every_event_would_repeat_ends_the_stream(
    live: str, api: Api, services: Services, caplog: pytest.LogCaptureFixture, ask: Any
) -> None:
    job = await start_job(services, (await queued_job(api, services)).id)
    await record_events(services, job, LogLine("one"), LogLine("two"))
    async with asyncio.timeout(10):
        (body,) = await ask(live, api, FOLLOWED, id=job.id, x=None)
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["message"].startswith("Argument 'if' has invalid value")
    assert not logged_errors(caplog)


@pytest.mark.parametrize("ask", [results_over_sse, results_over_websocket])
async def test_a_null_argument_of_a_subscription_is_bad_user_input(
    live: str, api: Api, caplog: pytest.LogCaptureFixture, ask: Any
) -> None:
    (body,) = await ask(live, api, BEGUN, x=None)
    assert "Argument 'jobId' has invalid value" in json.dumps(body)
    assert {error["extensions"]["code"] for error in body["errors"]} == {"BAD_USER_INPUT"}
    assert not logged_errors(caplog)
