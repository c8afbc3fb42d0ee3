"""Finds the processes that outlived a killed supervisor: there is no death signal on macOS, and it takes a moment on Linux."""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

GRACE_S = 10.0
SAME_START_S = 2.0  # a process and the record of it: nobody gets a used id again this soon


def write_record(record: Path, running: Iterable[tuple[int, int]]) -> None:
    """Name the running processes, each as its id and the signal that stops it, for whoever comes next."""
    record.write_text(json.dumps([_entry(pid, number) for pid, number in running if psutil.pid_exists(pid)]))


def stop_leftovers(record: Path) -> None:
    """Stop every recorded process that still lives."""
    left = []
    for entry in _entries(record):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(entry["pid"])
            if abs(process.create_time() - entry["started"]) < SAME_START_S:  # the id may be another's by now
                process.send_signal(entry["signal"])
                left.append(process)
    end_processes(left)
    record.unlink(missing_ok=True)


def end_processes(processes: list[psutil.Process]) -> None:
    """Wait for processes that were asked to stop, and kill those that do not."""
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
    with suppress(FileNotFoundError, ValueError):  # a half-written record names nobody
        return list(json.loads(record.read_text()))
    return []
