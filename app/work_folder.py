"""The folder of workers' temporary files, and what killed workers left in it."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from app.failures import StartError

PATTERNS = ("document-*", "import-*")
"""Folders that are used for one attempt of a job. A fine-tune's folder has checkpoints, and is kept."""


@contextmanager
def use_work_folder(folder: Path) -> Iterator[None]:
    """Delete what killed workers left, unless another worker runs, which may use it; raises `StartError`.

    Every worker has a shared lock until its process ends; only one that gets an exclusive lock deletes.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "workers.lock").open("w")
    except OSError as error:
        raise StartError(f"{folder} cannot be written: {error.strerror}") from error
    with lock:
        _clean_if_alone(folder, lock)
        fcntl.flock(lock, fcntl.LOCK_SH)  # waits while another worker cleans
        yield


def _clean_if_alone(folder: Path, lock: IO[str]) -> None:
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for pattern in PATTERNS:
            for path in folder.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)
