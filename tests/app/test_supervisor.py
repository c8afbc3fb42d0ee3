import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from app.failures import StartError
from app.local.orphans import stop_orphans, write_record
from app.local.supervisor import Child, Step, Supervisor, serve

pytestmark = pytest.mark.anyio

# Each program records what it does in a file of the test; it waits for signals and does not poll.
WRITES_ITS_PID = "import os, signal, sys; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); signal.pause()"
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WRITES_ITS_PID
WRITES_ITS_NAME_WHEN_STOPPED = """
import signal, sys
def stop(number, frame):
    open(sys.argv[1], "a").write(sys.argv[2] + chr(10))
    sys.exit()
signal.signal(signal.SIGTERM, stop)
open(sys.argv[1] + sys.argv[2], "w").close()
signal.pause()
"""


def python(code: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", code, *map(str, arguments))


def has_lines(path: Path, lines: int = 1) -> Callable[[], Awaitable[bool]]:
    def written() -> bool:
        return path.exists() and len(path.read_text().splitlines()) >= lines

    async def ready() -> bool:
        return written()

    return ready


def child(folder: Path, code: str = WRITES_ITS_PID, **changes: object) -> Child:
    mark = folder / "mark"
    usual: dict[str, object] = {
        "name": "it",
        "command": python(code, mark),
        "env": {},
        "log": folder / "it.log",
        "ready": has_lines(mark),
    }
    return Child(**(usual | changes))  # type: ignore[arg-type]  # a test names what matters to it


def pids(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "mark").read_text().splitlines()]


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    async with Supervisor(tmp_path / "record.json") as supervisor:
        yield supervisor


async def test_a_child_is_ready_when_start_returns_and_gone_after_the_supervisor(tmp_path: Path) -> None:
    async with Supervisor(tmp_path / "record.json") as supervisor:
        await supervisor.start(child(tmp_path))
        (pid,) = pids(tmp_path)
        assert os.getsid(pid) == pid  # Ctrl-C in the terminal does not reach it
    assert not psutil.pid_exists(pid)
    assert not (tmp_path / "record.json").exists()


async def test_children_are_stopped_in_the_reverse_of_their_start(tmp_path: Path) -> None:
    order = tmp_path / "order"
    async with Supervisor(tmp_path / "record.json") as supervisor:
        for name in "abc":
            command = python(WRITES_ITS_NAME_WHEN_STOPPED, order, name)
            ready = has_lines(tmp_path / f"order{name}", lines=0)
            await supervisor.start(
                child(tmp_path, command=command, ready=ready, log=tmp_path / f"{name}.log")
            )
    assert order.read_text().split() == ["c", "b", "a"]


async def test_a_child_that_does_not_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    async with Supervisor(tmp_path / "record.json") as supervisor:
        await supervisor.start(child(tmp_path, IGNORES_SIGTERM, grace_s=0.1))
        (pid,) = pids(tmp_path)
    assert not psutil.pid_exists(pid)


async def test_a_child_that_dies_is_started_again(
    tmp_path: Path, supervisor: Supervisor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.local.supervisor.MIN_RESTART_DELAY_S", 0.01)
    await supervisor.start(child(tmp_path))
    with logged("it is up again") as back:
        os.kill(pids(tmp_path)[0], signal.SIGKILL)
        await asyncio.wait_for(back, 10)
    assert "it stopped (signal 9) and is started again in 0.0 s" in caplog.text


async def test_the_death_of_an_essential_child_is_one_sentence(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    await supervisor.start(child(tmp_path, essential=True))
    os.kill(pids(tmp_path)[0], signal.SIGKILL)
    with pytest.raises(StartError, match=r"^it died \(signal 9\), so everything was stopped$") as caught:
        await asyncio.wait_for(supervisor.failed(), 10)
    assert caught.value.exit_code == 1


async def test_the_error_of_a_child_that_stops_while_starting_has_its_last_lines(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    broken = child(tmp_path, "raise ValueError('no such thing')")
    with pytest.raises(StartError) as caught:
        await supervisor.start(broken)
    assert caught.value.message == (
        "it stopped while it was starting (exit code 1): ValueError: no such thing"
        f" (all of it in {tmp_path / 'it.log'})"
    )


async def test_a_child_that_is_never_ready_is_an_error_after_its_deadline(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    silent = child(tmp_path, "import signal; signal.pause()", ready_s=0.2)
    with pytest.raises(StartError, match=r"^it did not answer within 0.2 s$"):
        await supervisor.start(silent)


async def test_a_program_that_is_not_there_is_one_sentence(tmp_path: Path, supervisor: Supervisor) -> None:
    with pytest.raises(StartError, match="/no/such/program cannot be run: No such file or directory"):
        await supervisor.start(child(tmp_path, command=("/no/such/program",)))


async def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path: Path, supervisor: Supervisor) -> None:
    with pytest.raises(StartError, match=r"^it could not be started: "):
        await supervisor.start(child(tmp_path, log=tmp_path / "no" / "folder" / "it.log"))


async def test_a_step_must_end_well(tmp_path: Path, supervisor: Supervisor) -> None:
    log = tmp_path / "step.log"
    await supervisor.step(Step(name="step", command=python("print('done')"), env={}, log=log))
    assert log.read_text() == "done\n"
    with pytest.raises(StartError, match=r"^step failed \(exit code 2\)$"):
        await supervisor.step(Step(name="step", command=python("raise SystemExit(2)"), env={}, log=log))
    assert (tmp_path / "step.log.1").read_text() == "done\n"


async def test_a_signal_while_something_is_starting_stops_it_all(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path / "record.json")

    async def start() -> None:
        await supervisor.start(child(tmp_path))
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        await supervisor.start(
            child(tmp_path, "import signal; signal.pause()", ready=has_lines(tmp_path / "never"))
        )

    await asyncio.wait_for(serve(supervisor, start()), 10)
    assert not psutil.pid_exists(pids(tmp_path)[0])


async def test_an_essential_death_while_something_is_starting_stops_it_all(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path / "record.json")

    async def start() -> None:
        await supervisor.start(child(tmp_path, essential=True))
        os.kill(pids(tmp_path)[0], signal.SIGKILL)
        await supervisor.step(
            Step(name="long", command=python("import signal; signal.pause()"), env={}, log=tmp_path / "l.log")
        )

    with pytest.raises(StartError, match=r"^it died \(signal 9\)"):
        await asyncio.wait_for(serve(supervisor, start()), 10)


def test_orphans_of_a_killed_supervisor_are_stopped_by_the_next(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    with subprocess.Popen(python(WRITES_ITS_PID, tmp_path / "mark")) as orphan:
        write_record(record, [(orphan.pid, signal.SIGTERM)])
        stop_orphans(record)
        assert not psutil.pid_exists(orphan.pid)
    assert not record.exists()


def test_a_process_that_got_a_recorded_id_later_is_left_alone(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    mine = {"pid": os.getpid(), "signal": int(signal.SIGKILL), "started": 1.0}
    record.write_text(json.dumps([mine]))
    stop_orphans(record)
    assert not record.exists()


@contextmanager
def logged(line: str) -> Iterator[asyncio.Future[None]]:
    """A future that is done when the line is logged."""
    found: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == line and not found.done():
                found.set_result(None)

    listener, supervisor = Listener(), logging.getLogger("app.local.supervisor")
    supervisor.addHandler(listener)
    try:
        yield found
    finally:
        supervisor.removeHandler(listener)
