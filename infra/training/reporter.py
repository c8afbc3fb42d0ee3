"""The training process's end of the pipe to its worker, and the request that it should stop."""

import signal
import threading
from dataclasses import dataclass, field
from types import FrameType
from typing import BinaryIO

from domain.job_events import LogLine, Progress
from infra.training.messages import Message, encode


class StopRequested(Exception):
    """The run was asked to stop, and everything that a later attempt needs is saved."""


@dataclass(slots=True)
class Reporter:
    """Writes messages to `out`, and knows whether the run was asked to stop.

    A pipe without a reader counts as such a request: the worker died, and the run should save a checkpoint
    before it ends.
    """

    out: BinaryIO
    stop_requested: threading.Event = field(default_factory=threading.Event)

    def report(self, message: Message) -> None:
        """Send `message` to the worker."""
        try:
            self.out.write(encode(message))
            self.out.flush()
        except OSError:
            self.stop_requested.set()

    def log(self, text: str) -> None:
        """Add a line to the run's log."""
        self.report(LogLine(text))

    def progress(self, progress: float, message: str) -> None:
        """Report how far the whole run has come, from 0.0 to 1.0. Raises `StopRequested`."""
        self.raise_if_stopped()
        self.report(Progress(round(progress, 4), message))

    def begin_stage(self, progress: float, message: str) -> None:
        """Report progress, and log the message too. Raises `StopRequested`."""
        self.progress(progress, message)
        self.log(message)

    def raise_if_stopped(self) -> None:
        """Raise `StopRequested` when the run was asked to stop."""
        if self.stop_requested.is_set():
            raise StopRequested

    def stop_on_sigterm(self) -> None:
        """Have SIGTERM request a stop, which the run's next step obeys, instead of ending the process."""

        def request_stop(_signal: int, _frame: FrameType | None) -> None:
            self.stop_requested.set()

        signal.signal(signal.SIGTERM, request_stop)
