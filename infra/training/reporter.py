"""The training process's side of the pipe, and the wish that it should stop."""

import signal
import threading
from dataclasses import dataclass, field
from types import FrameType
from typing import BinaryIO

from domain.job_events import LogLine, Progress
from infra.training.messages import Message, encode


class Interrupted(Exception):
    """The run was asked to stop, and what was done so far is saved."""


@dataclass(slots=True)
class Reporter:
    """Says what happens over `out`, and knows whether the run was asked to stop.

    A pipe that nobody reads is such a wish too: the worker died, and the run must not die of it
    before its checkpoint is saved.
    """

    out: BinaryIO
    stop: threading.Event = field(default_factory=threading.Event)

    def say(self, message: Message) -> None:
        """Report `message` to the worker."""
        try:
            self.out.write(encode(message))
            self.out.flush()
        except OSError:
            self.stop.set()

    def line(self, text: str) -> None:
        """Add a line to the run's log."""
        self.say(LogLine(text))

    def progress(self, progress: float, message: str) -> None:
        """Say how far the whole run is, 0.0 to 1.0; raises `Interrupted` when it was asked to stop."""
        self.heed()
        self.say(Progress(round(progress, 4), message))

    def stage(self, progress: float, message: str) -> None:
        """Say that something new begins, for the log too."""
        self.progress(progress, message)
        self.line(message)

    def heed(self) -> None:
        """Raise `Interrupted` when the run was asked to stop."""
        if self.stop.is_set():
            raise Interrupted

    def stop_on_sigterm(self) -> None:
        """From here on SIGTERM is a wish, not a death: the next step of the run heeds it."""

        def ask(_signal: int, _frame: FrameType | None) -> None:
            self.stop.set()

        signal.signal(signal.SIGTERM, ask)
