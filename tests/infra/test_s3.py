"""Object storage against the embedded S3 server."""

import asyncio
import gc
import socket
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from domain.errors import NotFound, Unavailable
from domain.ports.storage import ObjectChanged
from infra import s3
from infra.s3 import CHUNK, PART, S3Storage

pytestmark = pytest.mark.anyio

PREFIX = "tests-of-storage/"


def storage_at(settings: Settings, **given: str) -> S3Storage:
    arguments = {
        "endpoint_url": settings.s3_endpoint_url,
        "public_endpoint_url": None,
        "bucket": settings.s3_bucket,
        "region": settings.aws_region,
        "access_key": settings.aws_access_key_id,
        "secret_key": settings.aws_secret_access_key,
    }
    return S3Storage(**(arguments | given))  # type: ignore[arg-type]  # the settings of a whole server


@pytest.fixture
async def storage(settings: Settings) -> AsyncIterator[S3Storage]:
    made = storage_at(settings)
    yield made
    await made.delete(PREFIX)


async def chunks(*content: bytes) -> AsyncIterator[bytes]:
    for chunk in content:
        yield chunk


async def read(storage: S3Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in storage.read(key, start, end)])


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART + 5])
async def test_a_stream_of_any_length_is_read_back(storage: S3Storage, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    pieces = [content[start : start + 1_000_003] for start in range(0, size, 1_000_003)]
    assert await storage.write(PREFIX + "a", chunks(*pieces), "text/plain") == size
    found = await storage.head(PREFIX + "a")
    assert found is not None
    assert (found.key, found.size) == (PREFIX + "a", size)
    assert await read(storage, PREFIX + "a") == content
    assert all([len(chunk) <= CHUNK async for chunk in storage.read(PREFIX + "a")])


async def test_a_part_of_an_object_is_read(storage: S3Storage) -> None:
    await storage.write(PREFIX + "a", chunks(b"0123456789"), "text/plain")
    assert await read(storage, PREFIX + "a", 2, 4) == b"234"
    assert await read(storage, PREFIX + "a", 7) == b"789"
    assert await read(storage, PREFIX + "a", 0, 0) == b"0"


@pytest.mark.parametrize("size", [10, PART + 10])
async def test_nothing_is_left_of_a_stream_that_fails(storage: S3Storage, size: int) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * size
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await storage.write(PREFIX + "a", broken(), "text/plain")
    assert await storage.head(PREFIX + "a") is None
    assert await storage.keys(PREFIX) == []


async def test_a_failing_stream_leaves_what_was_there_before(storage: S3Storage) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (PART + 1)
        raise ConnectionAbortedError

    await storage.write(PREFIX + "a", chunks(b"before"), "text/plain")
    with pytest.raises(ConnectionAbortedError):
        await storage.write(PREFIX + "a", broken(), "text/plain")
    assert await read(storage, PREFIX + "a") == b"before"


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, 5 * PART + 3])
async def test_a_file_of_any_length_is_uploaded_and_downloaded(
    storage: S3Storage, tmp_path: Path, size: int
) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    (tmp_path / "from").write_bytes(content[:size])
    await storage.upload(PREFIX + "a", tmp_path / "from", "text/plain")
    await storage.download(PREFIX + "a", tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == content[:size]


async def test_a_download_of_nothing_leaves_no_file(storage: S3Storage, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await storage.download(PREFIX + "nothing", tmp_path / "nothing")
    assert names(tmp_path) == []


class BlockedRequests:
    """Records the storage's requests; those of one operation wait until `cancel_while_blocked` releases them."""

    def __init__(self, storage: S3Storage, operation: str) -> None:
        self.requested = asyncio.Event()
        self.sent = list[str]()
        self._released = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._operation = operation
        storage._s3.meta.events.register("before-call.s3", self._before)

    def _before(self, model: Any, **_: object) -> None:
        self.sent.append(model.name)
        if model.name == self._operation:
            self._loop.call_soon_threadsafe(self.requested.set)
            self._released.wait(30)

    async def cancel_while_blocked(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work, cancel it while a request is blocked, then release the request."""
        task = asyncio.create_task(work)
        async with asyncio.timeout(30):
            await self.requested.wait()
            task.cancel()
            await asyncio.sleep(0)
            self._released.set()
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_a_cancelled_upload_is_aborted_and_leaves_nothing(storage: S3Storage, tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"x" * (9 * PART))
    blocked = BlockedRequests(storage, "UploadPart")
    await blocked.cancel_while_blocked(storage.upload(PREFIX + "a", tmp_path / "from", "text/plain"))
    assert blocked.sent[-1] == "AbortMultipartUpload"
    assert "CompleteMultipartUpload" not in blocked.sent
    assert await storage.head(PREFIX + "a") is None


async def test_a_cancelled_stream_is_aborted_and_leaves_nothing(storage: S3Storage) -> None:
    blocked = BlockedRequests(storage, "UploadPart")

    async def write() -> None:
        await storage.write(PREFIX + "a", chunks(b"x" * (2 * PART)), "text/plain")

    await blocked.cancel_while_blocked(write())
    assert blocked.sent[-1] == "AbortMultipartUpload"
    assert await storage.head(PREFIX + "a") is None


@pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning"
)  # boto3 drops bodies it does not read on
async def test_a_cancelled_download_leaves_no_file(storage: S3Storage, tmp_path: Path) -> None:
    await storage.write(PREFIX + "a", chunks(b"x" * (9 * PART)), "text/plain")
    blocked = BlockedRequests(storage, "GetObject")
    await blocked.cancel_while_blocked(storage.download(PREFIX + "a", tmp_path / "to"))
    assert names(tmp_path) == []
    gc.collect()  # the sockets are closed here, where their warnings are ignored


async def test_a_prefix_lists_and_deletes_what_is_under_it(
    storage: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "DELETE_BATCH", 2)
    for name in ("a/1", "a/2", "a/b/3", "ab/4"):
        await storage.write(PREFIX + name, chunks(b"x"), "text/plain")
    assert [stored.key for stored in await storage.keys(PREFIX + "a/")] == [
        f"{PREFIX}a/{name}" for name in ("1", "2", "b/3")
    ]
    await storage.delete(PREFIX + "a/")
    assert [stored.key for stored in await storage.keys(PREFIX)] == [PREFIX + "ab/4"]
    await storage.delete(PREFIX + "nothing/")
    assert await storage.keys(PREFIX + "nothing/") == []


async def test_the_whole_bucket_is_never_deleted(storage: S3Storage) -> None:
    await storage.write(PREFIX + "a", chunks(b"x"), "text/plain")
    with pytest.raises(ValueError, match="whole bucket"):
        await storage.delete("")
    assert await storage.head(PREFIX + "a") is not None


async def test_what_is_not_there_is_not_found(storage: S3Storage) -> None:
    assert await storage.head(PREFIX + "nothing") is None
    with pytest.raises(NotFound):
        await read(storage, PREFIX + "nothing")


async def test_a_url_is_signed_for_the_public_endpoint(settings: Settings) -> None:
    storage = storage_at(settings, public_endpoint_url="https://files.example.org")
    put = await storage.presign_put("documents/x/a.csv", "text/csv", 60)
    assert put.url.startswith(f"https://files.example.org/{settings.s3_bucket}/documents/x/a.csv?")
    assert "X-Amz-SignedHeaders=content-type%3Bhost&" in put.url
    assert put.headers == {"Content-Type": "text/csv"}


async def test_health_says_what_is_wrong(settings: Settings, storage: S3Storage) -> None:
    assert await storage.health() == "connected"
    assert await storage_at(settings, bucket="nothing").health() == "the bucket does not exist"
    assert await storage_at(settings, secret_key="wrong").health() == "access is denied"


async def test_a_server_that_does_not_answer_is_unavailable(settings: Settings, tmp_path: Path) -> None:
    with socket.socket() as bound:  # and nobody listens
        bound.bind(("127.0.0.1", 0))
        storage = storage_at(settings, endpoint_url=f"http://127.0.0.1:{bound.getsockname()[1]}")
        assert await storage.health() == "unreachable"
        with pytest.raises(Unavailable):
            await storage.head("a")
        with pytest.raises(Unavailable):
            await storage.write("a", chunks(b"x"), "text/plain")
        with pytest.raises(Unavailable):
            await storage.upload("a", Path(__file__), "text/plain")
        with pytest.raises(Unavailable):
            await storage.download("a", tmp_path / "a")


async def test_an_object_with_another_entity_tag_is_not_read(storage: S3Storage) -> None:
    await storage.write(PREFIX + "a", chunks(b"first"), "text/plain")
    first = await storage.head(PREFIX + "a")
    assert first is not None
    assert [chunk async for chunk in storage.read(PREFIX + "a", 1, 2, etag=first.etag)] == [b"ir"]
    await storage.write(PREFIX + "a", chunks(b"other"), "text/plain")
    with pytest.raises(ObjectChanged):
        await anext(aiter(storage.read(PREFIX + "a", etag=first.etag)))
