"""Signals that stop a command: in the main thread an exception, as Ctrl-C is, and in the end one line."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from app.failures import Failure

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Failure):
    """A signal stopped the command, whose exit code is the shell's for that signal."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"Stopped by {'Ctrl-C' if number is signal.SIGINT else number.name}.")
        self.exit_code = 128 + number


class Interrupted(KeyboardInterrupt):
    """A signal came. Not an `Exception`: nobody may take it for an error and try again."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self.number = number


class Interrupts:
    """Raises `Interrupted` at the first signal; the later ones find the stop under way and change nothing."""

    def __init__(self) -> None:
        self._held = False
        self._first: signal.Signals | None = None

    def hear(self, number: int, _frame: FrameType | None) -> None:
        """The handler of each signal."""
        if self._first is None:
            self._first = signal.Signals(number)
            if not self._held:
                raise Interrupted(self._first)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lets what is inside come to its end; a signal that comes meanwhile is raised after it."""
        before, self._held = self._first, True
        try:
            yield
        finally:
            self._held = False
        if self._first is not before and self._first is not None:
            raise Interrupted(self._first)


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """While inside, signals to stop are `Interrupted`, and `Stopped` once everything has cleaned up.

    One that was ignored before, as `nohup` has it, stays so. For the main thread only.
    """
    interrupts = Interrupts()
    mine = [it for it in STOPPING if signal.getsignal(it) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupts.hear) for number in mine}
    try:
        yield interrupts
    except Interrupted as interrupted:
        raise Stopped(interrupted.number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
