"""Large files pass through the API without being held in memory: measured on a server of its own."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import psutil
import pytest

from app.program import PROGRAM
from domain.reading import require
from domain.services import Services
from tests.clients import Api, sign_up
from tests.conftest import Worker
from tests.finetuning import trained_finetune
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

MIB = 1_048_576
SIZE, GGUF_SIZE = 100 * MIB, 500 * MIB
GROWTH = 64 * MIB
BLOCK = bytes(range(256)) * 4096
HEADERS = {"content-type": "multipart/form-data; boundary=X"}


class MemoryWatch:
    """Measures the growth of a process's memory."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._before = self._process.memory_info().rss
        self.growth = 0

    def measure(self) -> None:
        self.growth = max(self.growth, self._process.memory_info().rss - self._before)


@asynccontextmanager
async def serving(environment: dict[str, str]) -> AsyncIterator[tuple[httpx.AsyncClient, int]]:
    """`luthier serve` with high limits: a client of it, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    limits = {"MAX_FILE_MB": "200", "MAX_PROJECT_MB": "1000"}
    command = (*PROGRAM, "serve", "--port", str(port))
    server = await asyncio.create_subprocess_exec(*command, env=os.environ | environment | limits)
    url, until_it_listens = f"http://127.0.0.1:{port}", httpx.AsyncHTTPTransport(retries=8)
    try:
        async with httpx.AsyncClient(base_url=url, transport=until_it_listens, timeout=30) as client:
            yield client, server.pid
    finally:
        server.terminate()
        await server.wait()


async def form(watched: MemoryWatch) -> AsyncIterator[bytes]:
    yield b'--X\r\nContent-Disposition: form-data; name="kind"\r\n\r\nraw_doc\r\n'
    yield b'--X\r\nContent-Disposition: form-data; name="files"; filename="big.txt"\r\n\r\n'
    for _ in range(SIZE // MIB):
        yield BLOCK
        watched.measure()
    yield b"\r\n--X--\r\n"


async def download(client: httpx.AsyncClient, url: str, watched: MemoryWatch) -> int:
    """The number of bytes of a download, none of which is kept."""
    size = 0
    async with client.stream("GET", url) as response:
        async for chunk in response.aiter_bytes(MIB):
            size += len(chunk)
            watched.measure()
    return size


async def test_a_hundred_megabytes_go_up_in_flat_memory(
    clean: None,  # noqa: ARG001
    environment: dict[str, str],
) -> None:
    async with serving(environment) as (client, pid):
        api = await sign_up(client)
        url = f"/api/projects/{await new_project(api)}"
        watched = MemoryWatch(pid)
        response = await client.post(f"{url}/files", content=form(watched), headers=HEADERS)
        assert response.status_code == 201, response.text
        assert response.json()["files"][0]["size_bytes"] == SIZE
        assert watched.growth < GROWTH


async def blocks() -> AsyncIterator[bytes]:
    for _ in range(GGUF_SIZE // MIB):
        yield BLOCK


async def test_a_gguf_of_five_hundred_megabytes_comes_down_in_flat_memory(
    services: Services, api: Api, worker: Worker, environment: dict[str, str]
) -> None:
    finetune = await trained_finetune(services, api, worker)
    async with services.transactions.begin() as store:
        finetune_record = await require(store.finetunes, finetune["id"], viewer_id=api.user_id)
        assert finetune_record.gguf is not None
        await store.finetunes.set_artifacts(
            finetune_record.id, [replace(finetune_record.gguf, size_bytes=GGUF_SIZE)]
        )
    await services.storage.write(
        finetune_record.key_of(finetune_record.gguf), blocks(), "application/octet-stream"
    )
    url = f"/api/projects/{finetune_record.project_id}/finetunes/{finetune_record.id}/download"
    async with serving(environment) as (client, pid):
        client.headers["authorization"] = f"Bearer {api.token}"
        await client.get(url, headers={"range": "bytes=0-9"})  # everything is imported and connected
        watched = MemoryWatch(pid)
        assert await download(client, url, watched) == GGUF_SIZE
    await services.storage.delete(finetune_record.prefix)
    assert watched.growth < GROWTH
