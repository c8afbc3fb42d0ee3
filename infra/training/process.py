"""The training process: `python -m infra.training.process FOLDER`, spawned by `ProcessTrainer`.

The order matters. Importing torch and its friends takes seconds, in which a SIGTERM must not kill
blindly, the worker may die, and people want to see that something happens.
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

from infra.python_modules import signal_on_parent_death
from infra.training.error_messages import sentence
from infra.training.frozen_run import read_run
from infra.training.messages import Failed
from infra.training.reporter import Interrupted, Reporter
from infra.training.trainer import INTERRUPTED

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
MEBIBYTE = 1024 * 1024


def main() -> int:
    """Train as FOLDER/run.json says; the exit status is 0, 75 when interrupted, or 1."""
    reporter = Reporter(os.fdopen(int(os.environ["REPORT_FD"]), "wb"))
    reporter.stop_on_sigterm()
    signal_on_parent_death(int(os.environ["PARENT_PID"]), signal.SIGTERM)
    folder = Path(sys.argv[1])
    try:
        reporter.progress(0.0, "Starting")
        with _alone(folder, reporter):
            _prepare_environment()
            _keep_freed_memory()
            # Not at the top of the file: this is what takes seconds.
            importlib.import_module("infra.training.pipeline").run(read_run(folder), reporter)
    except Interrupted:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last frame of the process: it becomes a sentence
        return _failed(reporter, error)
    return 0


def _failed(reporter: Reporter, error: Exception) -> int:
    traceback.print_exception(error)
    for text in "".join(traceback.format_exception(error)).splitlines():
        reporter.line(text)
    reporter.say(Failed(sentence(error)))
    return 1


@contextmanager
def _alone(folder: Path, reporter: Reporter) -> Iterator[None]:
    """Hold the run's folder: an earlier attempt may still be saving its checkpoint."""
    with (folder / "lock").open("w") as lock:
        told = False
        while not _locked(lock.fileno()):
            if not told:
                reporter.progress(0.0, "Waiting for the previous attempt to end")
                told = True
            reporter.heed()
            reporter.stop.wait(0.1)
        yield


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _keep_freed_memory() -> None:
    """Have glibc hand tensors' memory on to the next ones: giving it back and asking again is a fifth of the time."""
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 32 * MEBIBYTE)
        libc.mallopt(M_TRIM_THRESHOLD, 512 * MEBIBYTE)


def _prepare_environment() -> None:
    """What the libraries read when they are imported."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # Threads that wait for work sleep: the machine is also the database's and the API's.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
    # One run, one GPU: trl refuses several visible ones without a launcher.
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # taking torch apart takes a second, and the kernel frees it all the same
