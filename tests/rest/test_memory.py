"""Large files pass through the API without being held in memory: measured on a server of its own."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psutil
import pytest

from tests.clients import Api, sign_up
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

MIB = 1_048_576
SIZE = 100 * MIB
GROWTH = 64 * MIB
BLOCK = bytes(range(256)) * 4096


@asynccontextmanager
async def serving(environment: dict[str, str]) -> AsyncIterator[tuple[httpx.AsyncClient, psutil.Process]]:
    """`luthier serve` with high limits, and a client of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    limits = {"MAX_FILE_MB": "200", "MAX_PROJECT_MB": "1000"}
    command = (sys.executable, "-m", "app.cli", "serve", "--port", str(port))
    server = await asyncio.create_subprocess_exec(*command, env=os.environ | environment | limits)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            await ready(client)
            yield client, psutil.Process(server.pid)
    finally:
        server.terminate()
        await server.wait()


async def ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await client.get("/health")
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
            else:
                return


async def form() -> AsyncIterator[bytes]:
    yield b'--X\r\nContent-Disposition: form-data; name="kind"\r\n\r\nraw_doc\r\n'
    yield b'--X\r\nContent-Disposition: form-data; name="files"; filename="big.txt"\r\n\r\n'
    for _ in range(SIZE // MIB):
        yield BLOCK
    yield b"\r\n--X--\r\n"


async def downloaded(api: Api, url: str) -> int:
    """The bytes of a download, counted and forgotten."""
    async with api.rest.stream("GET", url) as reply:
        assert reply.status_code == 200
        return sum([len(chunk) async for chunk in reply.aiter_bytes(MIB)])


async def test_a_hundred_megabytes_go_up_and_five_hundred_come_down_in_flat_memory(
    clean: None, environment: dict[str, str]
) -> None:
    async with serving(environment) as (client, process):
        api = await sign_up(client)
        project_id = await new_project(api)
        before = process.memory_info().rss
        headers = {"content-type": "multipart/form-data; boundary=X"}
        reply = await client.post(f"/api/projects/{project_id}/files", content=form(), headers=headers)
        assert reply.status_code == 201, reply.text
        assert reply.json()["files"][0]["size_bytes"] == SIZE
        assert process.memory_info().rss - before < GROWTH
        url = f"/api/projects/{project_id}/documents/{reply.json()['files'][0]['id']}/download"
        assert [await downloaded(api, url) for _ in range(5)] == [SIZE] * 5
        assert process.memory_info().rss - before < GROWTH


async def test_a_client_that_leaves_a_download_stops_it(clean: None, environment: dict[str, str]) -> None:
    async with serving(environment) as (client, process):
        api = await sign_up(client)
        headers = {"content-type": "multipart/form-data; boundary=X"}
        project_id = await new_project(api)
        reply = await client.post(f"/api/projects/{project_id}/files", content=form(), headers=headers)
        url = f"/api/projects/{project_id}/documents/{reply.json()['files'][0]['id']}/download"
        async with api.rest.stream("GET", url) as download:
            await anext(download.aiter_bytes(MIB))
        async with asyncio.timeout(10):
            while any(it.raddr and it.raddr.port == s3_port(environment) for it in busy(process)):
                await asyncio.sleep(0.02)
