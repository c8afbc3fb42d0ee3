"""Operations over each transport of the GraphQL endpoint."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.clients import Api

JOB_EVENTS = """subscription($id: ID!, $after: String) { jobEvents(jobId: $id, after: $after) {
  __typename cursor ... on StatusEvent { status } ... on LogEvent { line } ... on CheckpointEvent { step path } } }"""


@asynccontextmanager
async def websocket(url: str, payload: dict[str, Any], **options: Any) -> AsyncIterator[Any]:
    """A `graphql-transport-ws` connection that was acknowledged; `payload` is that of `connection_init`."""
    address, protocol = url.replace("http", "ws") + "/graphql", Subprotocol("graphql-transport-ws")
    async with connect(address, subprotocols=[protocol], **options) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        yield socket


async def results_over_http(url: str, api: Api, document: str, **variables: Any) -> list[dict[str, Any]]:
    """The result of an operation."""
    headers = {"authorization": f"Bearer {api.token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        response = await client.post("/graphql", json={"query": document, "variables": variables})
    return [response.json()]


async def results_over_sse(url: str, api: Api, document: str, **variables: Any) -> list[dict[str, Any]]:
    """The results of an operation until it is complete."""
    headers = {"authorization": f"Bearer {api.token}", "accept": "text/event-stream"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        response = await client.post("/graphql", json={"query": document, "variables": variables})
    assert "event: complete" in response.text
    lines = response.text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


async def results_over_websocket(url: str, api: Api, document: str, **variables: Any) -> list[dict[str, Any]]:
    """The results of an operation until it is complete; the last one has the errors of an `error` message."""
    results = []
    async with asyncio.timeout(10), websocket(url, {"authorization": f"Bearer {api.token}"}) as socket:
        payload = {"query": document, "variables": variables}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        while (message := json.loads(await socket.recv()))["type"] == "next":
            results.append(message["payload"])
    return results if message["type"] == "complete" else [*results, {"errors": message["payload"]}]
