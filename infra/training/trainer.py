"""Runs the training process and yields its messages. Imports no torch."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from domain.hyperparameters import FinetuneMethod
from domain.job_events import LogLine
from domain.ports.trainer import TrainingFailed, TrainingMessage, TrainingRun
from infra.child_processes import module_command
from infra.training import machine
from infra.training.frozen_run import FrozenRun, write_run
from infra.training.messages import Failed, decode

HUB_TOKENS = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"})
LOG_FILE = "training.log"
EXIT_STOPPED = 75  # EX_TEMPFAIL: the process was asked to stop and saved a checkpoint
MAX_LINE_BYTES = 64 * 1024 * 1024  # a result contains whole samples
LOG_TAIL_LINES = 30


@dataclass(frozen=True, slots=True)
class ProcessTrainer:
    """Trains in a process of its own for each run; base models are stored in `models_folder`.

    `stop_timeout_s` is how many seconds the process has to save a checkpoint when it is asked to stop.
    """

    models_folder: Path
    stop_timeout_s: float = 30.0

    async def train(self, run: TrainingRun) -> AsyncGenerator[TrainingMessage, None]:
        """Run to the end and yield the messages, `TrainingResult` last. Raises `TrainingFailed`."""
        await asyncio.to_thread(self._freeze, run)
        async with self._spawned(run.folder) as (process, lines):
            async for line in lines:
                if not line.endswith(b"\n"):
                    break  # the process was killed in the middle of a line
                message = decode(line)
                if isinstance(message, Failed):
                    raise TrainingFailed(message.message)
                yield message
            if returncode := await process.wait():
                for text in _tail(run.folder / LOG_FILE):
                    yield LogLine(text)
                raise TrainingFailed(_exit_reason(returncode))

    def rejection_reason(self, method: FinetuneMethod) -> str | None:
        return machine.rejection_reason(method)

    def unsupported_reason(self, method: FinetuneMethod) -> str | None:
        return machine.unsupported_reason(method)

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
        async with _line_stream(read) as lines:
            try:
                yield process, lines
            finally:
                await _stop(process, self.stop_timeout_s)


async def _spawn(folder: Path, report_fd: int) -> asyncio.subprocess.Process:
    with (folder / LOG_FILE).open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *module_command("infra.training.process", str(folder)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(report_fd,),
            env={**_environment(), "REPORT_FD": str(report_fd), "PARENT_PID": str(os.getpid())},
            start_new_session=True,
        )


def _environment() -> dict[str, str]:
    """Without the token of the model hub: all that is trained on is on the disk."""
    return {name: value for name, value in os.environ.items() if name not in HUB_TOKENS}


@asynccontextmanager
async def _line_stream(fd: int) -> AsyncIterator[asyncio.StreamReader]:
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader),
        os.fdopen(fd, "rb", buffering=0),
    )
    try:
        yield reader
    finally:
        transport.close()


async def _stop(process: asyncio.subprocess.Process, timeout_s: float) -> None:
    """Have the process save a checkpoint and exit; kill its process group when it takes longer."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(timeout_s):
            await process.wait()
    except (TimeoutError, asyncio.CancelledError) as error:
        _kill_group(process)
        await process.wait()
        if not isinstance(error, TimeoutError):
            raise


def _kill_group(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _tail(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]


def _exit_reason(returncode: int) -> str:
    if returncode == EXIT_STOPPED:
        return (
            "The training process was stopped by something other than this worker; its checkpoint is saved."
        )
    if returncode == -signal.SIGKILL:
        return "The training process was killed; most likely the machine ran out of memory."
    if returncode < 0:
        return f"The training process was ended by {signal.Signals(-returncode).name}."
    return "The training process ended unexpectedly; the last lines of its log say where."
