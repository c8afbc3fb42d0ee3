"""What killed workers left in the folder that they worked in."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from app.local.supervisor import StartError

PATTERNS = ("document-*", "import-*")
"""What lives no longer than one attempt at a job. A fine-tune's folder has checkpoints, and stays."""


@contextmanager
def swept(folder: Path) -> Iterator[None]:
    """Rids the folder of leftovers, unless another worker is at work in it, whose they may be.

    Every worker shares a lock while it lives, which the kernel frees however it dies; only one that has the
    lock for itself sweeps. Raises StartError where the folder cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "workers.lock").open("w")
    except OSError as error:
        raise StartError(f"{folder} cannot be written: {error.strerror}") from error
    with lock:
        _sweep_if_alone(folder, lock)
        fcntl.flock(lock, fcntl.LOCK_SH)  # waits for a worker that sweeps just now
        yield


def _sweep_if_alone(folder: Path, lock: IO[str]) -> None:
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for pattern in PATTERNS:
            for left in folder.glob(pattern):
                shutil.rmtree(left, ignore_errors=True)
