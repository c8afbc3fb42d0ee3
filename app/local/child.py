"""Becomes a command that dies with its parent: `python -I -S child.py PARENT SIGNAL USER|- COMMAND...`.

Run as a program and never imported, so that a child costs one bare interpreter (15 ms) before its exec.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def become(user: str) -> None:
    """Drop root for this user, with no group but its own."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def main(parent: int, death_signal: int, user: str, command: list[str]) -> None:
    """Replace this process by the command, or leave at once when the parent is already gone."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # python ignores it, and exec would hand that on
    if user != "-":
        become(user)  # first: a change of credentials clears the death signal
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() == parent:  # else it died before we asked, and no signal would come
        os.execv(command[0], command)  # noqa: S606  # there is no shell to want


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
    except OSError as error:
        sys.exit(f"{sys.argv[4]} cannot be run: {error.strerror}")
