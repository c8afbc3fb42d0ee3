"""Orphans: child processes of a supervisor that was killed. macOS has no death signal; Linux sends it with a delay."""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

GRACE_S = 10.0
START_TOLERANCE_S = 2.0  # between the recorded and the real start of a process; an id is not reused that soon


def write_record(record: Path, running: Iterable[tuple[int, int]]) -> None:
    """Write the id and the stop signal of each running process."""
    record.write_text(json.dumps([_entry(pid, number) for pid, number in running if psutil.pid_exists(pid)]))


def stop_orphans(record: Path) -> None:
    """Stop every recorded process that still runs."""
    orphans = []
    for entry in _entries(record):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(entry["pid"])
            if abs(process.create_time() - entry["started"]) < START_TOLERANCE_S:  # else the id was reused
                process.send_signal(entry["signal"])
                orphans.append(process)
    wait_or_kill(orphans)
    record.unlink(missing_ok=True)


def wait_or_kill(processes: list[psutil.Process]) -> None:
    """Wait for processes that got a stop signal, and kill those that do not exit in time."""
    _, alive = psutil.wait_procs(processes, timeout=GRACE_S)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=GRACE_S)


def _entry(pid: int, number: int) -> dict[str, Any]:
    started = 0.0
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(pid).create_time()
    return {"pid": pid, "signal": number, "started": started}


def _entries(record: Path) -> list[dict[str, Any]]:
    with suppress(FileNotFoundError, ValueError):  # a record that was not written completely is ignored
        return list(json.loads(record.read_text()))
    return []
