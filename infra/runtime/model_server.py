"""One model, one process: `python -m infra.runtime.model_server PATH CONTEXT PARENT_PID`.

It has llama.cpp's own OpenAI server, and prints its address once the model is loaded. A damaged file may
abort it, and a model cannot be unloaded while it is asked: both are solved by ending the process.
"""

import os
import signal
import sys
from pathlib import Path

import xllamacpp

from infra.python_modules import signal_on_parent_death
from infra.runtime import MODEL_KEY

PARALLEL = 2
"""Requests answered at once; each has the whole context."""


ERRORS_ONLY = 1
CACHE_MIB = 64  # prompts kept in memory for the next turn of a chat


def parameters(path: str, context: int) -> xllamacpp.CommonParams:
    """How the model is served: on a free port of this machine, to whoever has the key."""
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {Path(path).stem}  # what answers call it: else they would show the path
    params.n_ctx = context * PARALLEL
    params.n_parallel = PARALLEL
    params.port = 0
    params.api_keys = [os.environ[MODEL_KEY]]
    params.cpuparams.n_threads = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    params.cache_ram_mib = CACHE_MIB
    params.verbosity = ERRORS_ONLY
    params.ui = False
    return params


def main(path: str, context: int, parent_pid: int) -> None:
    """Serve until killed."""
    signal_on_parent_death(parent_pid, signal.SIGKILL)
    os.environ["GGML_NO_BACKTRACE"] = "1"  # an abort would run gdb for a second
    with os.fdopen(os.dup(1), "w") as answer:
        os.dup2(2, 1)  # what llama.cpp prints is not our address
        server = xllamacpp.Server(parameters(path, context))
        answer.write(server.listening_address + "\n")
    while True:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
