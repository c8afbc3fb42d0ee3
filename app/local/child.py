"""Executes a command that gets a signal when its parent dies: `python -I -S child.py PARENT SIGNAL USER|- COMMAND...`.

A program, never imported, so that a child costs one bare interpreter (15 ms) before its exec.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def drop_privileges(user: str) -> None:
    """Change from root to this user and its primary group."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def main(parent: int, death_signal: int, user: str, command: list[str]) -> None:
    """Replace this process by the command, or exit where the parent has died already."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores SIGPIPE, and exec would inherit that
    if user != "-":
        drop_privileges(user)  # first: a change of credentials clears the death signal
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() == parent:  # else it died before prctl, and no signal would be sent
        os.execv(command[0], command)  # noqa: S606  # without a shell


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
    except OSError as error:
        sys.exit(f"{sys.argv[4]} cannot be run: {error.strerror}")
