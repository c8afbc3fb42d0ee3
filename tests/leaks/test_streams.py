"""Faults of streams are masked, and logged under the request's id."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from domain.job_events import RecordedEvent
from domain.services import Services
from tests.leaks.faults import MASKED, SECRET, faults_logged, leaks
from tests.sample_data import SampleData
from tests.schema.transports import websocket

pytestmark = pytest.mark.anyio


class FailingStreams:
    """Event streams that raise after a number of events."""

    def __init__(self, real: Any, events: int) -> None:
        self.real = real
        self.event_count = events

    async def events(self, job_id: str, after: int = 0) -> AsyncIterator[RecordedEvent]:
        """The first events, then the fault."""
        remaining = self.event_count
        async for recorded in self.real.events(job_id, after):
            if not remaining:
                break
            remaining -= 1
            yield recorded
        raise RuntimeError(SECRET)


@asynccontextmanager
async def failing_streams(services: Services, events: int) -> AsyncIterator[None]:
    """Every stream raises after a number of events."""
    real = services.job_streams
    object.__setattr__(services, "job_streams", FailingStreams(real, events))
    try:
        yield
    finally:
        object.__setattr__(services, "job_streams", real)


FOLLOW = "subscription($id: ID!) { jobEvents(jobId: $id) { cursor } }"


async def over_sse(_live: str, owner: SampleData) -> list[Any]:
    """The results of a subscription over server-sent events."""
    body = {"query": FOLLOW, "variables": {"id": owner.ids["Job"]}}
    headers = {"accept": "text/event-stream"}
    lines = (await owner.api.rest.post("/graphql", json=body, headers=headers)).text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


async def over_a_websocket(live: str, owner: SampleData) -> list[Any]:
    """The results of a subscription over a WebSocket, with the error that ends it."""
    found = []
    async with websocket(live, {"authorization": f"Bearer {owner.api.token}"}) as socket:
        payload = {"query": FOLLOW, "variables": {"id": owner.ids["Job"]}}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        while (message := json.loads(await socket.recv()))["type"] != "complete":
            is_error = message["type"] == "error"
            found.append({"errors": message["payload"]} if is_error else message["payload"])
            if is_error:
                break
    return found


@pytest.mark.parametrize("events", [0, 1])
@pytest.mark.parametrize("transport", [over_sse, over_a_websocket])
async def test_the_fault_of_a_subscription_is_masked(
    live: str,
    owner: SampleData,
    services: Services,
    caplog: pytest.LogCaptureFixture,
    transport: Any,
    events: int,
) -> None:
    async with failing_streams(services, events):
        *results, last = await transport(live, owner)
    assert [result["data"]["jobEvents"]["cursor"] for result in results] == ["1"] * events
    (error,) = last["errors"]
    assert (error["message"], error["extensions"]["code"]) == (MASKED, "INTERNAL")
    assert not leaks(json.dumps([*results, last]))
    (line,) = faults_logged(caplog, error["extensions"]["requestId"])
    assert SECRET in line["error"]


async def test_the_fault_of_a_stream_over_rest_is_masked(
    owner: SampleData, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    path = f"/api/projects/{owner.ids['Project']}/finetunes/{owner.ids['Finetune']}/logs/stream"
    async with failing_streams(services, 2):
        response = await owner.api.rest.get(path, headers={"x-request-id": "the-stream"})
    assert not leaks(response.text)
    (line,) = faults_logged(caplog, "the-stream")
    assert SECRET in line["error"]
