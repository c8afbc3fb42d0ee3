"""Object storage against the embedded S3 server."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.settings import Settings
from domain.errors import NotFound, Unavailable
from domain.ports.storage import Changed
from infra import s3
from infra.s3 import CHUNK, PART, S3Storage

pytestmark = pytest.mark.anyio

PLACE = "tests-of-storage/"


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
    await made.delete(PLACE)


async def chunks(*content: bytes) -> AsyncIterator[bytes]:
    for chunk in content:
        yield chunk


async def read(storage: S3Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in storage.read(key, start, end)])


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART + 5])
async def test_a_stream_of_any_length_is_read_back(storage: S3Storage, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    pieces = [content[it : it + 1_000_003] for it in range(0, size, 1_000_003)]
    assert await storage.write(PLACE + "a", chunks(*pieces), "text/plain") == size
    found = await storage.head(PLACE + "a")
    assert found is not None
    assert (found.key, found.size) == (PLACE + "a", size)
    assert await read(storage, PLACE + "a") == content
    assert all([len(it) <= CHUNK async for it in storage.read(PLACE + "a")])


async def test_a_part_of_an_object_is_read(storage: S3Storage) -> None:
    await storage.write(PLACE + "a", chunks(b"0123456789"), "text/plain")
    assert await read(storage, PLACE + "a", 2, 4) == b"234"
    assert await read(storage, PLACE + "a", 7) == b"789"
    assert await read(storage, PLACE + "a", 0, 0) == b"0"


@pytest.mark.parametrize("size", [10, PART + 10])
async def test_nothing_is_left_of_a_stream_that_fails(storage: S3Storage, size: int) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * size
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await storage.write(PLACE + "a", broken(), "text/plain")
    assert await storage.head(PLACE + "a") is None
    assert await storage.keys(PLACE) == []


async def test_a_failing_stream_leaves_what_was_there_before(storage: S3Storage) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (PART + 1)
        raise ConnectionAbortedError

    await storage.write(PLACE + "a", chunks(b"before"), "text/plain")
    with pytest.raises(ConnectionAbortedError):
        await storage.write(PLACE + "a", broken(), "text/plain")
    assert await read(storage, PLACE + "a") == b"before"


def names(folder: Path) -> list[str]:
    return sorted(it.name for it in folder.iterdir())


async def test_files_go_up_and_come_down_whole(storage: S3Storage, tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"x" * (CHUNK + 1))
    await storage.upload(PLACE + "a", tmp_path / "from", "text/plain")
    await storage.download(PLACE + "a", tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == b"x" * (CHUNK + 1)
    with pytest.raises(NotFound):
        await storage.download(PLACE + "nothing", tmp_path / "nothing")
    assert names(tmp_path) == ["from", "to"]


async def test_a_prefix_lists_and_deletes_what_is_under_it(
    storage: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "BATCH", 2)
    for name in ("a/1", "a/2", "a/b/3", "ab/4"):
        await storage.write(PLACE + name, chunks(b"x"), "text/plain")
    assert [it.key for it in await storage.keys(PLACE + "a/")] == [
        f"{PLACE}a/{it}" for it in ("1", "2", "b/3")
    ]
    await storage.delete(PLACE + "a/")
    assert [it.key for it in await storage.keys(PLACE)] == [PLACE + "ab/4"]
    await storage.delete(PLACE + "nothing/")
    assert await storage.keys(PLACE + "nothing/") == []


async def test_the_whole_bucket_is_never_deleted(storage: S3Storage) -> None:
    await storage.write(PLACE + "a", chunks(b"x"), "text/plain")
    with pytest.raises(ValueError, match="whole bucket"):
        await storage.delete("")
    assert await storage.head(PLACE + "a") is not None


async def test_what_is_not_there_is_not_found(storage: S3Storage) -> None:
    assert await storage.head(PLACE + "nothing") is None
    with pytest.raises(NotFound):
        await read(storage, PLACE + "nothing")


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


async def test_a_server_that_is_away_is_unavailable(settings: Settings) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        storage = storage_at(settings, endpoint_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        assert await storage.health() == "unreachable"
        with pytest.raises(Unavailable):
            await storage.head("a")
        with pytest.raises(Unavailable):
            await storage.write("a", chunks(b"x"), "text/plain")


async def test_an_object_with_another_entity_tag_is_not_read(storage: S3Storage) -> None:
    await storage.write(PLACE + "a", chunks(b"first"), "text/plain")
    first = await storage.head(PLACE + "a")
    assert first is not None
    assert [it async for it in storage.read(PLACE + "a", 1, 2, etag=first.etag)] == [b"ir"]
    await storage.write(PLACE + "a", chunks(b"other"), "text/plain")
    with pytest.raises(Changed):
        await anext(aiter(storage.read(PLACE + "a", etag=first.etag)))
