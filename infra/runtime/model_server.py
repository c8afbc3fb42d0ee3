"""The process of one model: `python -m infra.runtime.model_server PATH CONTEXT PARENT_PID`.

It runs llama.cpp's own OpenAI server, and prints the address once the model is loaded. A damaged file may
abort the process, and llama.cpp cannot unload a model during a request: it is unloaded by killing the process.
"""

import os
import signal
import sys
from pathlib import Path

import xllamacpp

from infra.child_processes import signal_on_parent_death
from infra.runtime import MODEL_KEY

PARALLEL = 2
"""Requests that are answered at the same time; each has the whole context window."""

ERRORS_ONLY = 1
CACHE_MIB = 64  # of prompts, for the next turn of a chat


def parameters(path: str, context: int) -> xllamacpp.CommonParams:
    """How the model is served: on a free port of this machine, to requests with the API key."""
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {Path(path).stem}  # the name in responses, which would otherwise be the path
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
    os.environ["GGML_NO_BACKTRACE"] = "1"  # otherwise an abort runs gdb for a second
    with os.fdopen(os.dup(1), "w") as stdout:
        os.dup2(2, 1)  # what llama.cpp prints goes to stderr: stdout is for the address alone
        server = xllamacpp.Server(parameters(path, context))
        stdout.write(server.listening_address + "\n")
    while True:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
