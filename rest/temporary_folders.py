"""Folders in the work folder for the temporary files of one request."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

LOCK_FILE = "workers.lock"
"""A worker that starts deletes temporary folders only if it gets an exclusive lock on this file."""


@asynccontextmanager
async def temporary_folder(work_folder: Path, prefix: str) -> AsyncIterator[Path]:
    """A new folder in `work_folder`, which is deleted at the end of the block.

    Until then a shared lock keeps workers from deleting it as one that a killed process left.
    """
    lock = await asyncio.to_thread(_locked, work_folder)
    with lock, TemporaryDirectory(dir=work_folder, prefix=prefix) as folder:
        yield Path(folder)


def _locked(work_folder: Path) -> IO[str]:
    work_folder.mkdir(parents=True, exist_ok=True)
    lock = (work_folder / LOCK_FILE).open("w")
    fcntl.flock(lock, fcntl.LOCK_SH)  # waits while a worker deletes
    return lock
