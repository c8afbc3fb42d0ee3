"""Runs the training process and passes on what it reports. Imports no torch."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from domain.finetunes import FinetuneMethod
from domain.job_events import LogLine
from domain.ports.trainer import TrainingFailed, TrainingReport, TrainingRun
from infra.python_modules import module_command
from infra.training import machine
from infra.training.frozen_run import FrozenRun, write_run
from infra.training.messages import Failed, decode

LOG = "training.log"
INTERRUPTED = 75  # EX_TEMPFAIL: the process was told to stop and kept a checkpoint
LONGEST_REPORT = 64 * 1024 * 1024  # bytes: a result carries whole samples
LOG_TAIL = 30  # lines


@dataclass(frozen=True, slots=True)
class ProcessTrainer:
    """Trains in a spawned process, one per run; base models are kept in `models_folder`.

    `patience` is how many seconds the process has to save a checkpoint when it is told to stop.
    """

    models_folder: Path
    patience: float = 30.0

    async def train(self, run: TrainingRun) -> AsyncGenerator[TrainingReport, None]:
        """Run to the end and yield what is reported, `TrainingResult` last; see `domain.ports.trainer.Trainer`."""
        await asyncio.to_thread(self._freeze, run)
        async with self._spawned(run.folder) as (process, reports):
            async for line in reports:
                if not line.endswith(b"\n"):
                    break  # it was killed in the middle of a line
                message = decode(line)
                if isinstance(message, Failed):
                    raise TrainingFailed(message.message)
                yield message
            if returncode := await process.wait():
                for text in _tail(run.folder / LOG):
                    yield LogLine(text)
                raise TrainingFailed(_ending(returncode))

    def foreseen(self, method: FinetuneMethod) -> str | None:
        """Why a run by `method` need not even be queued, as a sentence; None where it may be."""
        return machine.foreseen(method)

    def refusal(self, method: FinetuneMethod) -> str | None:
        """Why this machine cannot train by `method`, as a sentence; None where it can."""
        return machine.refusal(method)

    def _freeze(self, run: TrainingRun) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        write_run(FrozenRun.of(run, self.models_folder))

    @asynccontextmanager
    async def _spawned(
        self, folder: Path
    ) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
        read, write = os.pipe()
        try:
            process = await _spawn(folder, write)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        async with _reading(read) as reports:
            try:
                yield process, reports
            finally:
                await _end(process, self.patience)


async def _spawn(folder: Path, report_fd: int) -> asyncio.subprocess.Process:
    with (folder / LOG).open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *module_command("infra.training.process", str(folder)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(report_fd,),
            env={**os.environ, "REPORT_FD": str(report_fd), "PARENT_PID": str(os.getpid())},
            start_new_session=True,
        )


@asynccontextmanager
async def _reading(fd: int) -> AsyncIterator[asyncio.StreamReader]:
    reader = asyncio.StreamReader(limit=LONGEST_REPORT)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader),
        os.fdopen(fd, "rb", buffering=0),
    )
    try:
        yield reader
    finally:
        transport.close()


async def _end(process: asyncio.subprocess.Process, patience: float) -> None:
    """Have the process save a checkpoint and end; kill its whole group if it takes too long."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(patience):
            await process.wait()
    except (TimeoutError, asyncio.CancelledError) as impatience:
        _kill_group(process)
        await process.wait()
        if not isinstance(impatience, TimeoutError):
            raise


def _kill_group(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _tail(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-LOG_TAIL:]


def _ending(returncode: int) -> str:
    if returncode == INTERRUPTED:
        return "The training process was told to stop by something other than this worker; its checkpoint is kept."
    if returncode == -signal.SIGKILL:
        return "The training process was killed; most likely the machine ran out of memory."
    if returncode < 0:
        return f"The training process was ended by {signal.Signals(-returncode).name}."
    return "The training process ended unexpectedly; the last lines of its log say where."
