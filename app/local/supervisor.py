"""Starts children in order, keeps them alive, and stops them in reverse, so that nothing is left behind.

Spawn from the main thread only: on Linux a child's death signal follows the thread that forked it.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

from app.failures import Failure
from app.local.leftovers import write_record

logger = logging.getLogger(__name__)


FIRST_PAUSE_S = 0.4
LONGEST_PAUSE_S = 10.0
HASTE_S = 5.0  # after the death of an essential child; a training saves its checkpoint in that time too
POLL_S = 0.02
TAIL_LINES = 3
TAIL_BYTES = 4096
WRAPPER = Path(__file__).with_name("child.py")


class StartError(Failure):
    """Why nothing was started, or why all of it was stopped: one sentence for a person, and the exit code."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command that runs to its end, with success, before the next part is started."""

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
    """A command that runs until it is stopped; `ready` is asked until it says yes, at most `ready_s` seconds.

    The death of an essential child stops everything; another one is started again.
    """

    ready: Callable[[], Awaitable[bool]]
    ready_s: float = 60.0
    essential: bool = False


class Tree:
    """The children that run, in the order of their start; leaving it stops them in reverse.

    `record` is the file that names them for whoever comes after a kill -9 of this process.
    """

    def __init__(self, record: Path) -> None:
        self._record = record
        self._kept: list[_Kept] = []
        self._failure: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        hasty = self._failure.done() and not self._failure.cancelled()  # what is left waits for what died
        while self._kept:
            await self._kept.pop().stop(HASTE_S if hasty else None)
        self._failure.cancel()
        self._record.unlink(missing_ok=True)

    async def step(self, step: Step) -> None:
        """Run the step to its end. Raises StartError if it fails."""
        _rotate(step.log)
        process = await _spawn(step)
        try:
            await process.wait()
        finally:
            await _end(process, step)
        if process.returncode:
            raise StartError(_sentence(step, f"failed ({_how(process)})"))

    async def start(self, child: Child) -> None:
        """Start the child and wait until it is ready. Raises StartError if it does not get there."""
        await _Kept(child, self).start()

    def adopt(self, kept: "_Kept") -> None:
        """Take over the stopping of a child that has a process from now on."""
        self._kept.append(kept)
        self.write_record()

    async def failed(self) -> NoReturn:
        """Wait for the death of an essential child. Raises StartError."""
        await asyncio.shield(self._failure)

    def fail(self, message: str) -> None:
        """Say that the tree cannot go on."""
        if not self._failure.done():
            self._failure.set_exception(StartError(message))
            self._failure.exception()  # it may be that nobody waits: then leaving the tree is the answer

    def write_record(self) -> None:
        """Name the processes that run, so that the next start finds those that outlived this one."""
        write_record(self._record, [kept.identity for kept in self._kept])


class _Kept:
    """One child with its newest process, and the task that starts it again."""

    _process: asyncio.subprocess.Process

    def __init__(self, child: Child, tree: Tree) -> None:
        self.child = child
        self._tree = tree
        self._keeper: asyncio.Task[None] | None = None

    @property
    def identity(self) -> tuple[int, int]:
        return self._process.pid, int(self.child.stop_signal)

    async def start(self) -> None:
        _rotate(self.child.log)
        self._process = await _spawn(self.child)
        self._tree.adopt(self)
        await self._ready()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self, at_most_s: float | None = None) -> None:
        if self._keeper:
            await _cancel(self._keeper)
        await _end(self._process, self.child, at_most_s)

    async def _ready(self) -> None:
        try:
            async with asyncio.timeout(self.child.ready_s):
                await self._poll()
        except TimeoutError:
            what = f"did not answer within {self.child.ready_s:g} s"
            raise StartError(_sentence(self.child, what)) from None

    async def _poll(self) -> None:
        while self._process.returncode is None:
            if await self.child.ready():
                return
            await asyncio.sleep(POLL_S)
        raise StartError(_sentence(self.child, f"stopped while it was starting ({_how(self._process)})"))

    async def _keep(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = FIRST_PAUSE_S
        while True:
            started = clock()
            await self._process.wait()
            how = _how(self._process)
            if self.child.essential:
                self._tree.fail(_sentence(self.child, f"died ({how}), so everything was stopped"))
                return
            pause = FIRST_PAUSE_S if clock() - started > LONGEST_PAUSE_S else pause
            logger.warning("%s stopped (%s) and is started again in %.1f s", self.child.name, how, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)
            await self._again()

    async def _again(self) -> None:
        try:
            self._process = await _spawn(self.child)
            self._tree.write_record()
            await self._ready()
        except StartError as error:
            logger.warning("%s", error)
            await _end(self._process, self.child)
        else:
            logger.warning("%s is up again", self.child.name)


async def serve(tree: Tree, start: Coroutine[Any, Any, None]) -> None:
    """Start the tree, then stay until SIGTERM, SIGINT or SIGHUP; whatever happens, all of it is stopped.

    Raises StartError when a part does not start or an essential child dies.
    """
    asked = asyncio.Event()
    with _signals(asked):
        async with tree:
            staying = asyncio.create_task(_stay(tree, start))
            failing = asyncio.create_task(tree.failed())
            asking = asyncio.create_task(asked.wait())
            try:
                await asyncio.wait({staying, failing, asking}, return_when=asyncio.FIRST_COMPLETED)
                if not asked.is_set():
                    (failing if failing.done() else staying).result()
            finally:
                await _cancel(staying, failing, asking)


async def _stay(tree: Tree, start: Coroutine[Any, Any, None]) -> NoReturn:
    await start
    await tree.failed()


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _signals(asked: asyncio.Event) -> Iterator[None]:
    """While inside, a signal to stop, however often it comes, only sets the event."""
    loop = asyncio.get_running_loop()
    mine = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's wish
        mine.append(signal.SIGHUP)
    for number in mine:
        loop.add_signal_handler(number, asked.set)
    try:
        yield
    finally:
        for number in mine:
            loop.remove_signal_handler(number)


async def _spawn(step: Step) -> asyncio.subprocess.Process:
    """Start a process in a session of its own: Ctrl-C in a terminal must reach the supervisor alone."""
    wrapper = (sys.executable, "-I", "-S", str(WRAPPER))
    fate = (str(os.getpid()), str(int(step.death_signal)), step.user or "-")
    try:
        with step.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *wrapper,
                *fate,
                *step.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=step.env,
                cwd=step.cwd,
                start_new_session=True,
            )
    except OSError as error:
        raise StartError(f"{step.name} could not be started: {error}") from error


async def _end(process: asyncio.subprocess.Process, step: Step, at_most_s: float | None = None) -> None:
    """Stop a process; one that has not gone after its grace is killed with its whole group."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.send_signal(step.stop_signal)
    try:
        await asyncio.wait_for(process.wait(), min(step.grace_s, at_most_s or step.grace_s))
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _rotate(log: Path) -> None:
    """Keep the log of the run before, so that this one's tail is about this run."""
    with suppress(FileNotFoundError):
        log.replace(log.with_suffix(".log.1"))


def _how(process: asyncio.subprocess.Process) -> str:
    code = process.returncode or 0
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _sentence(step: Step, what: str) -> str:
    tail = _tail(step.log)
    return f"{step.name} {what}: {tail} (all of it in {step.log})" if tail else f"{step.name} {what}"


def _tail(log: Path) -> str:
    """The last lines of a log as one, without the frames of a traceback."""
    lines = log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").splitlines()
    spoken = [line for line in lines if line.strip() and not line.startswith((" ", "\t", "Traceback"))]
    return " / ".join(spoken[-TAIL_LINES:])
