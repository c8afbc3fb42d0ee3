"""Persisted queries of Apollo Client and urql, which fall back to the text of the operation."""

import pytest

from domain.services import Services
from tests.clients import Api
from tests.jobs import queued_job
from tests.judges.conftest import Node

pytestmark = pytest.mark.anyio

TEXT = {"method": "POST", "hash": False, "text": True, "status": 200}
HASH = {"method": "POST", "hash": True, "text": False, "status": 200}
BY_GET = {"method": "GET"}


async def test_apollo_and_urql_send_the_text_once_the_hash_is_not_supported(
    api: Api, services: Services, live: str, node: Node
) -> None:
    job = await queued_job(api, services)
    output = {
        found["client"]: (found["requests"], found["results"])
        async for found in node("persisted.mjs", live, api.token, job.id)
    }
    both = [api.user_id, api.user_id]
    assert output == {
        "Apollo Client": ([HASH, TEXT, TEXT], both),
        "Apollo Client by GET": ([HASH | BY_GET, TEXT, TEXT], both),
        "urql": ([HASH, TEXT, TEXT], both),
        "urql by GET": ([HASH | BY_GET, TEXT | BY_GET, TEXT], both),
        "urql with subscriptions": ([HASH, TEXT, TEXT, TEXT], [*both, "1"]),
        "urql over a WebSocket": ([], [*both, "1"]),
    }
