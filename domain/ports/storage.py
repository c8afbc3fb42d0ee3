"""Object storage: the port to S3."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from domain.errors import Conflict


class ObjectChanged(Conflict):
    """The object is not the one that was uploaded: the URL of an upload still works for a while after its completion."""

    def __init__(self) -> None:
        super().__init__("The file was changed after its upload was completed.", reason="FILE_CHANGED")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's size in bytes and its entity tag."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class PresignedPut:
    """How a client puts bytes straight into storage: the URL, and the headers that are part of its signature."""

    url: str
    headers: Mapping[str, str]


class Storage(Protocol):
    """One bucket. Foreign errors come out as `Unavailable`; a missing key is None or `NotFound`."""

    @property
    def uri(self) -> str:
        """`s3://bucket`, as users see it."""
        ...

    async def presign_put(self, key: str, media_type: str, seconds: int) -> PresignedPut: ...
    async def head(self, key: str) -> StoredObject | None: ...
    def read(
        self, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes from `start` up to and including `end`, in chunks of at most 1 MiB.

        Raises `NotFound`, and `ObjectChanged` before the first chunk when the object has another entity tag.
        """
        ...

    async def write(self, key: str, chunks: AsyncIterator[bytes], media_type: str) -> int:
        """Put a stream of unknown length, holding at most one part in memory; returns its size in bytes.

        Nothing is left under the key when the stream fails.
        """
        ...

    async def upload(self, key: str, path: Path, media_type: str) -> None:
        """Put a file. Nothing is left under the key when it fails or is cancelled."""
        ...

    async def download(self, key: str, path: Path) -> None:
        """Raises `NotFound`. The file appears whole or not at all."""
        ...

    async def keys(self, prefix: str) -> list[StoredObject]: ...
    async def delete(self, prefix: str) -> None:
        """Delete every object whose key begins with `prefix`."""
        ...

    async def health(self) -> str:
        """`connected`, or why not in a few words. Never raises."""
        ...
