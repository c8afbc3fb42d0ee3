"""Jobs, pages of their events and subscriptions to them."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from domain.job_events import Checkpoint, LogLine, Progress
from domain.jobs import JobStatus, Superseded
from domain.services import Services
from domain.use_cases import job_lifecycle
from tests.clients import Api
from tests.jobs import queued_job, record_events, start_job, started_between, succeed
from tests.schema.transports import JOB_EVENTS, websocket

pytestmark = pytest.mark.anyio

JOB = """query($id: ID!, $kinds: [JobEventKind!], $after: String) { job(id: $id) {
  type status progress message result error attempts runner startedAt finishedAt subject { __typename id }
  project { id } events(kinds: $kinds, after: $after) { totalCount nodes { __typename cursor
    ... on StatusEvent { status } ... on ProgressEvent { progress message } ... on LogEvent { line } } } } }"""


async def test_a_job_has_its_events(api: Api, services: Services) -> None:
    queued = await queued_job(api, services)
    job = await start_job(services, queued.id)
    await record_events(services, job, Progress(0.5, "half"), LogLine("a line"))
    await succeed(services, job)
    seen = (await api.gql(JOB, id=job.id))["job"]
    assert seen["startedAt"] <= seen["finishedAt"]
    assert seen | {"startedAt": "", "finishedAt": ""} == {
        "type": "DATASET_IMPORT", "status": "SUCCESS", "progress": 1.0, "message": "half", "result": {"rows": 1},
        "error": None, "attempts": 1, "runner": "LOCAL", "startedAt": "", "finishedAt": "",
        "subject": {"__typename": "Dataset", "id": job.subject_id}, "project": {"id": job.project_id},
        "events": {"totalCount": 5, "nodes": [
            {"__typename": "StatusEvent", "cursor": "1", "status": "QUEUED"},
            {"__typename": "StatusEvent", "cursor": "2", "status": "RUNNING"},
            {"__typename": "ProgressEvent", "cursor": "3", "progress": 0.5, "message": "half"},
            {"__typename": "LogEvent", "cursor": "4", "line": "a line"},
            {"__typename": "StatusEvent", "cursor": "5", "status": "SUCCESS"},
        ]},
    }  # fmt: skip
    logs = (await api.gql(JOB, id=job.id, kinds=["LOG"]))["job"]["events"]
    assert [node["line"] for node in logs["nodes"]] == ["a line"]
    assert [
        node["cursor"] for node in (await api.gql(JOB, id=job.id, after="4"))["job"]["events"]["nodes"]
    ] == ["5"]


async def test_jobs_are_listed_by_type_and_status(api: Api, services: Services) -> None:
    done, queued = await queued_job(api, services), await queued_job(api, services)
    await succeed(services, await start_job(services, done.id))
    query = "query($t: JobType, $s: JobStatus) { jobs(type: $t, status: $s) { nodes { id } } }"
    listed = [node["id"] for node in (await api.gql(query))["jobs"]["nodes"]]
    assert listed == [queued.id, done.id]
    assert (await api.gql(query, s="SUCCESS"))["jobs"]["nodes"] == [{"id": done.id}]
    assert (await api.gql(query, t="FINETUNE"))["jobs"]["nodes"] == []
    assert (await api.other.gql(query))["jobs"]["nodes"] == []


async def test_a_cancelled_job_is_final_at_once_and_its_worker_is_refused(
    api: Api, services: Services
) -> None:
    job = await start_job(services, (await queued_job(api, services)).id)
    assert (await api.mutate("cancelJob", "job { status }", id=job.id))["job"] == {"status": "CANCELLED"}
    with pytest.raises(Superseded):
        await record_events(services, job, LogLine("still here"))
    error = await api.refused("cancelJob", id=job.id)
    assert (error["code"], error["reason"]) == ("CONFLICT", "JOB_ENDED")
    dataset = await api.gql("query($id: ID!) { dataset(id: $id) { status } }", id=job.subject_id)
    assert dataset["dataset"] == {"status": "ABORTED"}


async def test_a_job_that_starts_while_it_is_cancelled_is_cancelled(
    api: Api, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await queued_job(api, services)
    async with services.transactions.begin() as store:
        started_between(store, services, monkeypatch)
        cancelled = await job_lifecycle.cancel(store, job.id, viewer_id=api.user_id)
    assert (cancelled.status, cancelled.attempt) == (JobStatus.CANCELLED, 1)
    seen = (await api.gql(JOB, id=job.id))["job"]["events"]["nodes"]
    assert [event["status"] for event in seen] == ["QUEUED", "RUNNING", "CANCELLED"]


async def test_a_superseded_worker_writes_nothing(api: Api, services: Services) -> None:
    first = await start_job(services, (await queued_job(api, services)).id)
    second = await start_job(services, first.id)
    with pytest.raises(Superseded):
        await record_events(services, first, LogLine("from a superseded worker"))
    with pytest.raises(Superseded):
        await succeed(services, first)
    assert (await succeed(services, second)).status is JobStatus.SUCCESS


async def test_another_users_job_is_not_found(api: Api, services: Services, live: str) -> None:
    job = await queued_job(api, services)
    assert (
        await api.other.gql("query($id: ID!) { job(id: $id) { id } node(id: $id) { id } }", id=job.id)
    ) == {
        "job": None,
        "node": None,
    }
    assert (await api.other.refused("cancelJob", id=job.id))["code"] == "NOT_FOUND"
    async with aclosing(events_over_sse(live, api.other, job.id)) as events:
        response = await anext(events)
    assert [error["extensions"]["code"] for error in response["errors"]] == ["NOT_FOUND"]


async def test_an_unknown_job_id_is_named_in_the_message(api: Api, live: str) -> None:
    for id, sentence in (("job_1", "There is no job job_1."), ("", "There is no job with this id.")):
        assert (await api.refused("cancelJob", id=id))["message"] == sentence
        async with aclosing(events_over_sse(live, api, id)) as events:
            response = await anext(events)
        assert [error["message"] for error in response["errors"]] == [sentence]


async def events_over_sse(
    url: str, api: Api, job_id: str, after: str | None = None
) -> AsyncGenerator[dict[str, Any], None]:
    """The results of the subscription over server-sent events, `distinct connections`."""
    headers = {"authorization": f"Bearer {api.token}", "accept": "text/event-stream"}
    body = {"query": JOB_EVENTS, "variables": {"id": job_id, "after": after}}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as rest,
        rest.stream("POST", "/graphql", json=body) as response,
    ):
        name = ""
        async for line in response.aiter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data" and name == "next":
                yield json.loads(value)


async def events_over_websocket(
    url: str, api: Api, job_id: str, after: str | None = None
) -> AsyncGenerator[dict[str, Any], None]:
    """The results of the subscription over a WebSocket, the token in the first message as browsers send it."""
    async with websocket(url, {"authorization": f"Bearer {api.token}"}) as socket:
        body = {"query": JOB_EVENTS, "variables": {"id": job_id, "after": after}}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": body}))
        while (message := json.loads(await socket.recv()))["type"] == "next":
            yield message["payload"]
        assert message["type"] == "complete", message


@pytest.mark.parametrize("transport", [events_over_sse, events_over_websocket])
async def test_a_stream_replays_events_after_its_cursor_and_then_follows_the_job(
    api: Api, services: Services, live: str, transport: Any
) -> None:
    job = await start_job(services, (await queued_job(api, services)).id)
    await record_events(services, job, LogLine("kept"))
    async with aclosing(transport(live, api, job.id, "1")) as events:
        seen = [await anext(events), await anext(events)]
        await record_events(services, job, Checkpoint(7, "checkpoint-7"))
        seen.append(await anext(events))
        await succeed(services, job)
        seen += [event async for event in events]
    assert [event["data"]["jobEvents"] for event in seen] == [
        {"__typename": "StatusEvent", "cursor": "2", "status": "RUNNING"},
        {"__typename": "LogEvent", "cursor": "3", "line": "kept"},
        {"__typename": "CheckpointEvent", "cursor": "4", "step": 7, "path": "checkpoint-7"},
        {"__typename": "StatusEvent", "cursor": "5", "status": "SUCCESS"},
    ]


async def test_a_finished_jobs_stream_replays_and_ends(api: Api, services: Services, live: str) -> None:
    job = await succeed(services, await start_job(services, (await queued_job(api, services)).id))
    assert len([event async for event in events_over_sse(live, api, job.id)]) == 3
    assert [event async for event in events_over_sse(live, api, job.id, "3")] == []


async def test_a_hundred_events_of_two_writers_reach_every_reader_in_order(
    api: Api, services: Services, live: str
) -> None:
    job = await start_job(services, (await queued_job(api, services)).id)

    async def write(name: str) -> None:
        for number in range(50):
            await record_events(services, job, LogLine(f"{name} {number}"))

    async def read() -> list[int]:
        return [
            int(event["data"]["jobEvents"]["cursor"]) async for event in events_over_sse(live, api, job.id)
        ]

    readers = [asyncio.create_task(read()) for _ in range(5)]
    await asyncio.gather(write("one"), write("two"))
    await succeed(services, job)
    assert await asyncio.gather(*readers) == [list(range(1, 104))] * 5


async def test_an_invalid_cursor_is_refused(api: Api, services: Services, live: str) -> None:
    job = await queued_job(api, services)
    async with aclosing(events_over_sse(live, api, job.id, "garbage")) as events:
        response = await anext(events)
    assert [error["extensions"]["code"] for error in response["errors"]] == ["BAD_USER_INPUT"]


async def test_a_websocket_without_a_token_is_closed(live: str, api: Api) -> None:  # noqa: ARG001
    with pytest.raises(ConnectionClosed) as closed:
        async with websocket(live, {}):
            pass
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403
