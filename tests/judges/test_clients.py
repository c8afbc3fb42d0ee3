"""The reference clients of both transports of subscriptions."""

from contextlib import aclosing

import pytest

from domain.job_events import LogLine
from domain.services import Services
from tests.clients import Api
from tests.jobs import queued_job, record_events, start_job, succeed
from tests.judges.conftest import Node

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("script", ["ws.mjs", "sse.mjs"])
async def test_a_reference_client_queries_mutates_subscribes_and_resumes(
    api: Api, services: Services, live: str, node: Node, script: str
) -> None:
    job = await start_job(services, (await queued_job(api, services)).id)
    async with aclosing(node(script, live, api.token, job.id)) as output:
        assert await anext(output) == {
            "viewer": {"id": api.user_id},
            "project": {"project": {"name": "From Node"}, "userErrors": []},
            "seen": [
                {"__typename": "StatusEvent", "cursor": "1", "status": "QUEUED"},
                {"__typename": "StatusEvent", "cursor": "2", "status": "RUNNING"},
            ],
        }
        await record_events(services, job, LogLine("written while the client was disconnected"))
        await succeed(services, job)
        assert await anext(output) == {
            "rest": [
                {
                    "__typename": "LogEvent",
                    "cursor": "3",
                    "line": "written while the client was disconnected",
                },
                {"__typename": "StatusEvent", "cursor": "4", "status": "SUCCESS"},
            ]
        }
        assert await anext(output) == {"refused": ["BAD_USER_INPUT"]}
        assert [message async for message in output] == []
