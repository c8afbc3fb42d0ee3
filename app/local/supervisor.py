"""Starts child processes in order, restarts them when they exit, and stops them in reverse order.

For the main thread only: on Linux a child gets its death signal when the thread that forked it ends.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

from app.failures import StartError
from app.local.orphans import write_record
from app.program import child_command

logger = logging.getLogger(__name__)


MIN_RESTART_DELAY_S = 0.4
MAX_RESTART_DELAY_S = 10.0
FAILURE_GRACE_S = (
    5.0  # after the death of an essential child; a training saves its checkpoint in that time too
)
POLL_S = 0.02
TAIL_LINES = 3
TAIL_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command that must succeed before the next part starts. It gets `death_signal` when the supervisor dies."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    user: str | None = None
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 8.0


@dataclass(frozen=True, kw_only=True)
class Child(Step):
    """A command that runs until it is stopped; `ready` is polled for at most `ready_s` seconds.

    When an essential child exits, all children are stopped; any other child is restarted.
    """

    ready: Callable[[], Awaitable[bool]]
    ready_s: float = 60.0
    essential: bool = False


class Supervisor:
    """The running children, in the order of their start; its end stops them in reverse order.

    `record` is a file with their process ids: after a kill -9 of this process the next one stops them.
    """

    def __init__(self, record: Path) -> None:
        self._record = record
        self._processes: list[_SupervisedProcess] = []
        self._failure: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        has_failed = self._failure.done() and not self._failure.cancelled()
        while self._processes:  # after a failure the others may wait for the one that died: bound their grace
            await self._processes.pop().stop(FAILURE_GRACE_S if has_failed else None)
        self._failure.cancel()
        self._record.unlink(missing_ok=True)

    async def step(self, step: Step) -> None:
        """Run a step to its end; raises `StartError` when it fails."""
        _rotate(step.log)
        process = await _spawn(step)
        try:
            await process.wait()
        finally:
            await _terminate(process, step)
        if process.returncode:
            raise StartError(_message(step, f"failed ({_exit_status(process)})"))

    async def start(self, child: Child) -> None:
        """Start a child and wait until it is ready; raises `StartError` when it exits before, or after `ready_s`."""
        await _SupervisedProcess(child, self).start()

    def register(self, process: "_SupervisedProcess") -> None:
        """Record a started child, and stop it at the end."""
        self._processes.append(process)
        self.write_record()

    async def failed(self) -> NoReturn:
        """Wait until an essential child exits; raises `StartError`."""
        await asyncio.shield(self._failure)

    def set_failed(self, message: str) -> None:
        """Make `failed` raise."""
        if not self._failure.done():
            self._failure.set_exception(StartError(message))
            self._failure.exception()  # marks it as retrieved, for nobody may be waiting

    def write_record(self) -> None:
        """Write the ids of the running processes, so that the next start can stop orphans."""
        write_record(self._record, [process.identity for process in self._processes])


class _SupervisedProcess:
    """A child, its current process, and the task that restarts it."""

    _process: asyncio.subprocess.Process

    def __init__(self, child: Child, supervisor: Supervisor) -> None:
        self.child = child
        self._supervisor = supervisor
        self._restarter: asyncio.Task[None] | None = None

    @property
    def identity(self) -> tuple[int, int]:
        return self._process.pid, int(self.child.stop_signal)

    async def start(self) -> None:
        _rotate(self.child.log)
        self._process = await _spawn(self.child)
        self._supervisor.register(self)
        await self._wait_until_ready()
        self._restarter = asyncio.create_task(self._restart_on_exit())

    async def stop(self, max_s: float | None = None) -> None:
        if self._restarter:
            await _cancel(self._restarter)
        await _terminate(self._process, self.child, max_s)

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(self.child.ready_s):
                await self._poll()
        except TimeoutError:
            problem = f"did not answer within {self.child.ready_s:g} s"
            raise StartError(_message(self.child, problem)) from None

    async def _poll(self) -> None:
        while self._process.returncode is None:
            if await self.child.ready():
                return
            await asyncio.sleep(POLL_S)
        raise StartError(
            _message(self.child, f"stopped while it was starting ({_exit_status(self._process)})")
        )

    async def _restart_on_exit(self) -> None:
        clock = asyncio.get_running_loop().time
        delay = MIN_RESTART_DELAY_S
        while True:
            started = clock()
            await self._process.wait()
            status = _exit_status(self._process)
            if self.child.essential:
                self._supervisor.set_failed(
                    _message(self.child, f"died ({status}), so everything was stopped")
                )
                return
            delay = MIN_RESTART_DELAY_S if clock() - started > MAX_RESTART_DELAY_S else delay
            logger.warning("%s stopped (%s) and is started again in %.1f s", self.child.name, status, delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, MAX_RESTART_DELAY_S)
            await self._restart()

    async def _restart(self) -> None:
        try:
            self._process = await _spawn(self.child)
            self._supervisor.write_record()
            await self._wait_until_ready()
        except StartError as error:
            logger.warning("%s", error)
            await _terminate(self._process, self.child)
        else:
            logger.warning("%s is up again", self.child.name)


async def serve(supervisor: Supervisor, start: Coroutine[Any, Any, None]) -> None:
    """Start everything and run until SIGTERM, SIGINT or SIGHUP; all children are stopped in any case.

    Raises `StartError` when a part does not start or an essential child exits.
    """
    stopping = asyncio.Event()
    with _stop_signals(stopping):
        async with supervisor:
            running = asyncio.create_task(_run(supervisor, start))
            failed = asyncio.create_task(supervisor.failed())
            signalled = asyncio.create_task(stopping.wait())
            try:
                await asyncio.wait({running, failed, signalled}, return_when=asyncio.FIRST_COMPLETED)
                if not stopping.is_set():
                    (failed if failed.done() else running).result()
            finally:
                await _cancel(running, failed, signalled)


async def _run(supervisor: Supervisor, start: Coroutine[Any, Any, None]) -> NoReturn:
    await start
    await supervisor.failed()


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _stop_signals(stopping: asyncio.Event) -> Iterator[None]:
    """Inside the block, SIGTERM, SIGINT and SIGHUP set the event."""
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stopping.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _spawn(step: Step) -> asyncio.subprocess.Process:
    """Start a process in a new session, so that Ctrl-C in a terminal reaches the supervisor only."""
    command = child_command(step.command, death_signal=step.death_signal, user=step.user)
    try:
        with step.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=step.env,
                cwd=step.cwd,
                start_new_session=True,
            )
    except OSError as error:
        raise StartError(f"{step.name} could not be started: {error}") from error


async def _terminate(process: asyncio.subprocess.Process, step: Step, max_s: float | None = None) -> None:
    """Stop a process; after its grace kill its process group."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.send_signal(step.stop_signal)
    try:
        await asyncio.wait_for(process.wait(), min(step.grace_s, max_s or step.grace_s))
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _rotate(log: Path) -> None:
    """Rename the log of the previous run, so that the tail in an error message is of this run."""
    with suppress(FileNotFoundError):
        log.replace(log.with_suffix(".log.1"))


def _exit_status(process: asyncio.subprocess.Process) -> str:
    code = process.returncode or 0
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _message(step: Step, problem: str) -> str:
    tail = _tail(step.log)
    return f"{step.name} {problem}: {tail} (all of it in {step.log})" if tail else f"{step.name} {problem}"


def _tail(log: Path) -> str:
    """The last lines of a log, joined, without the frames of a traceback."""
    lines = log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").splitlines()
    messages = [line for line in lines if line.strip() and not line.startswith((" ", "\t", "Traceback"))]
    return " / ".join(messages[-TAIL_LINES:])
