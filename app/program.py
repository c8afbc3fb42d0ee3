"""Command lines of our own program, to run as child processes."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.child_processes import module_command

PROGRAM = module_command("app.cli")
_CHILD = Path(__file__).with_name("local") / "child.py"


def child_command(command: Sequence[str], *, death_signal: int, user: str | None = None) -> tuple[str, ...]:
    """`command` as a child that is sent `death_signal` (0 is none) when this process dies, run as `user` or as this one."""
    arguments = (str(os.getpid()), str(int(death_signal)), user or "-")
    return (sys.executable, "-I", "-S", str(_CHILD), *arguments, *command)
