"""The training process's own child processes: they die with it, and end when the run is asked to stop."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from infra.child_processes import module_command
from infra.training.reporter import Reporter

STOP_POLL_S = 0.2


@contextmanager
def child_process(module: str, *arguments: str, stdout: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """One of our modules as a child process, killed when the block ends."""
    environment = {**os.environ, "PARENT_PID": str(os.getpid()), "GGML_NO_BACKTRACE": "1"}
    command = module_command(module, *arguments)
    process = subprocess.Popen(command, env=environment, stdout=stdout, text=True)  # noqa: S603 - ours
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_exit(process: subprocess.Popen[str], reporter: Reporter) -> int:
    """Wait for the exit status. Raises `StopRequested`."""
    while process.poll() is None:
        reporter.raise_if_stopped()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_POLL_S)
    return process.returncode
