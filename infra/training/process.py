"""The training process: `python -m infra.training.process FOLDER`, spawned by `ProcessTrainer`.

Importing torch and trl takes seconds. Before that, SIGTERM is handled, the worker's death noticed and the
start reported.
"""

import ctypes
import fcntl
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.child_processes import signal_on_parent_death
from infra.training.error_messages import user_message
from infra.training.frozen_run import read_run
from infra.training.messages import Failed
from infra.training.reporter import Reporter, StopRequested
from infra.training.trainer import EXIT_STOPPED

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
MEBIBYTE = 1024 * 1024
LOCK_POLL_S = 0.1


def main() -> int:
    """Train as FOLDER/run.json says; the exit status is 0, 75 when it was asked to stop, or 1."""
    reporter = Reporter(os.fdopen(int(os.environ["REPORT_FD"]), "wb"))
    reporter.stop_on_sigterm()
    signal_on_parent_death(int(os.environ["PARENT_PID"]), signal.SIGTERM)
    folder = Path(sys.argv[1])
    try:
        reporter.progress(0.0, "Starting")
        with _locked(folder, reporter):
            _prepare_environment()
            _reuse_freed_memory()
            # Not at the top of the file: this is what takes seconds.
            importlib.import_module("infra.training.pipeline").run(read_run(folder), reporter)
    except StopRequested:
        return EXIT_STOPPED
    except Exception as error:  # noqa: BLE001 - the last frame of the process: the user gets one sentence
        return _fail(reporter, error)
    return 0


def _fail(reporter: Reporter, error: Exception) -> int:
    traceback.print_exception(error)
    for text in "".join(traceback.format_exception(error)).splitlines():
        reporter.log(text)
    reporter.report(Failed(user_message(error)))
    return 1


@contextmanager
def _locked(folder: Path, reporter: Reporter) -> Iterator[None]:
    """Lock the run's folder: an earlier attempt may still be saving its checkpoint."""
    with (folder / "lock").open("w") as lock:
        if not _try_lock(lock.fileno()):
            reporter.progress(0.0, "Waiting for the previous attempt to end")
            while not _try_lock(lock.fileno()):
                reporter.raise_if_stopped()
                reporter.stop_requested.wait(LOCK_POLL_S)
        yield


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _reuse_freed_memory() -> None:
    """Have glibc reuse tensors' memory: returning it to the kernel and requesting it anew is a fifth of the time."""
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 32 * MEBIBYTE)
        libc.mallopt(M_TRIM_THRESHOLD, 512 * MEBIBYTE)


def _prepare_environment() -> None:
    """Set what the libraries read when they are imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # the worker has fetched everything
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # Idle threads sleep instead of spinning: the database and the API run on the same machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
    # One GPU for each run: trl refuses several visible ones without a launcher.
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # torch's own cleanup takes a second, and the kernel frees everything anyway
