"""Child processes: the command that runs a module of Luthier's own, and the signal when the parent dies."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def module_command(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs our `module` in this interpreter.

    With -P, so that a folder `app` or `infra` in the working directory is not imported in place of ours.
    """
    return (sys.executable, "-P", "-m", module, *arguments)


def signal_on_parent_death(parent_pid: int, death_signal: signal.Signals) -> None:
    """Have this process get `death_signal` when process `parent_pid` dies, at once when it already has.

    The kernel watches the parent on Linux only; elsewhere just a parent that is already dead is noticed.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), death_signal)
