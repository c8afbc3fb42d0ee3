"""Serves one GGUF by llama.cpp: `python -m infra.training.llama_server PATH CONTEXT THREADS` prints its address.

It is a process of its own, because a bad GGUF aborts the process that loads it.
"""

import os
import signal
import sys

import xllamacpp

from infra.child_processes import signal_on_parent_death


def serve(path: str, context: int, threads: int) -> None:
    """Load `path`, print the address, and serve until killed."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.n_ctx = context
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = threads
    parameters.cache_ram_mib = 0
    parameters.port = 0
    parameters.ui = False
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)  # noqa: T201 - the parent reads it
    while True:
        signal.pause()


if __name__ == "__main__":
    signal_on_parent_death(int(os.environ["PARENT_PID"]), signal.SIGKILL)
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
