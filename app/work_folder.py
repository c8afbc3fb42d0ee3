"""The folder of temporary files, and what killed processes left in it."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from app.failures import StartError
from rest.temporary_folders import LOCK_FILE

PATTERNS = ("document-*", "import-*", "results-*", "export-*")
"""Folders that are used for one attempt of a job, or for one request. A fine-tune's folder has checkpoints, and is kept."""


@contextmanager
def use_work_folder(folder: Path) -> Iterator[None]:
    """Delete what killed processes left, unless another one may use it; raises `StartError`.

    Every worker has a shared lock until its process ends, and a request of the API while it has a folder; only a
    worker that gets an exclusive lock deletes.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK_FILE).open("w")
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
