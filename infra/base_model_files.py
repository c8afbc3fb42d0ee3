"""The base models on this machine's disk: a folder each, and a lock file each, which all workers of the machine share."""

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

from domain.base_model_files import MANIFEST, Manifest
from domain.ids import Noun, noun_of

POLL_S = 0.2
PARTIAL, DELETED = ".partial", ".deleted"
LOCKS = "locks"
KEPT_PART_S = 24 * 3600
"""How long a fetch that broke off is kept, for the next one to go on with."""


class DiskBaseModelCache:
    """The models in one folder. When a model was last read is the time of its lock file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder(self, id: str) -> Path:
        return self._folder / id

    def find(self, id: str) -> Manifest | None:
        folder = self.folder(id)
        try:
            manifest = Manifest.from_json((folder / MANIFEST).read_bytes())
            is_whole = all((folder / file.name).stat().st_size == file.size_bytes for file in manifest.files)
        except (OSError, ValueError):
            return None
        return manifest if is_whole else None

    def ids(self) -> list[str]:
        return sorted(path.name for path in self._folders("") if self.find(path.name) is not None)

    @asynccontextmanager
    async def reading(self, id: str) -> AsyncIterator[None]:
        async with self._locked(id, fcntl.LOCK_SH) as lock:
            os.utime(lock.fileno())
            yield

    @asynccontextmanager
    async def writing(self, id: str) -> AsyncIterator[None]:
        async with self._locked(id, fcntl.LOCK_EX):
            yield

    def partial(self, id: str) -> Path:
        folder = self._folder / f".{id}{PARTIAL}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear_partial(self, id: str) -> None:
        shutil.rmtree(self._folder / f".{id}{PARTIAL}", ignore_errors=True)

    def complete(self, id: str, manifest: Manifest) -> None:
        partial = self.partial(id)
        names = {file.name for file in manifest.files}
        for path in partial.iterdir():
            if path.name not in names:
                path.unlink()
        (partial / MANIFEST).write_text(manifest.to_json())
        self.delete(id)
        partial.rename(self.folder(id))

    def delete(self, id: str) -> None:
        deleted = self._folder / f".{id}{DELETED}"
        shutil.rmtree(deleted, ignore_errors=True)
        if self.folder(id).exists():
            self.folder(id).rename(deleted)  # so that it is never there in part
            shutil.rmtree(deleted)

    def abandoned(self) -> list[str]:
        ids = [path.name.removesuffix(PARTIAL).removeprefix(".") for path in self._folders(PARTIAL)]
        return [id for id in ids if self._is_free(id)]

    def evict(self, max_bytes: int, *, keep: str) -> list[str]:
        self._delete_old_parts(time.time() - KEPT_PART_S)
        sizes = {id: manifest.size_bytes for id in self.ids() if (manifest := self.find(id)) is not None}
        evicted: list[str] = []
        for id in sorted(sizes, key=self._last_read):
            if sum(sizes.values()) <= max_bytes:
                break
            if id != keep and self._delete_if_free(id):
                del sizes[id]
                evicted.append(id)
        return evicted

    def _delete_old_parts(self, before: float) -> None:
        for id in self.abandoned():
            if self.partial(id).stat().st_mtime < before:
                self.clear_partial(id)

    def free_bytes(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._folder).free

    def _folders(self, suffix: str) -> list[Path]:
        """The folders whose name is an id, behind a dot and before the suffix where there is one."""
        found = self._folder.glob(f".*{suffix}" if suffix else "*")
        return [
            path for path in found if noun_of(path.name.removesuffix(suffix).lstrip(".")) is Noun.BASE_MODEL
        ]

    def _last_read(self, id: str) -> float:
        lock = self._lock_file(id)
        return lock.stat().st_mtime if lock.exists() else 0.0

    def _lock_file(self, id: str) -> Path:
        return self._folder / LOCKS / f"{id}.lock"

    def _is_free(self, id: str) -> bool:
        with self._try_lock(id) as is_locked:
            return is_locked

    def _delete_if_free(self, id: str) -> bool:
        with self._try_lock(id) as is_locked:
            if is_locked:
                self.delete(id)
            return is_locked

    @contextmanager
    def _try_lock(self, id: str) -> Iterator[bool]:
        with self._open_lock(id) as lock:
            yield _lock(lock, fcntl.LOCK_EX)

    @asynccontextmanager
    async def _locked(self, id: str, mode: int) -> AsyncIterator[IO[bytes]]:
        with self._open_lock(id) as lock:
            while not _lock(lock, mode):  # noqa: ASYNC110 - another process has it, which sets no event
                await asyncio.sleep(POLL_S)
            yield lock

    def _open_lock(self, id: str) -> IO[bytes]:
        path = self._lock_file(id)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")


def _lock(lock: IO[bytes], mode: int) -> bool:
    try:
        fcntl.flock(lock, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
