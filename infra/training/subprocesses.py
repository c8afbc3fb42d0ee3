"""The training process's own children: they die with it, and end when the run is asked to stop."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from infra.python_modules import module_command
from infra.training.reporter import Reporter

GLANCE = 0.2  # seconds between two looks at whether the run should stop


@contextmanager
def child(module: str, *arguments: str, stdout: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """`python -m module arguments`, killed when the block ends."""
    environment = {**os.environ, "PARENT_PID": str(os.getpid()), "GGML_NO_BACKTRACE": "1"}
    command = module_command(module, *arguments)
    process = subprocess.Popen(command, env=environment, stdout=stdout, text=True)  # noqa: S603 - ours
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finished(process: subprocess.Popen[str], say: Reporter) -> int:
    """Wait for the exit status; raises `Interrupted` when the run is asked to stop."""
    while process.poll() is None:
        say.heed()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GLANCE)
    return process.returncode
