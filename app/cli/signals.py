"""Signals that stop a command: an exception in the main thread, as Ctrl-C is, and one line of output at the end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from app.failures import Failure

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Failure):
    """A signal stopped the command, whose exit code is the shell's for that signal."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"Stopped by {'Ctrl-C' if number is signal.SIGINT else number.name}.")
        self.exit_code = 128 + number


class SignalReceived(KeyboardInterrupt):
    """A signal arrived. Not an `Exception`, which libraries catch to try again."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self.number = number


class SignalHandler:
    """Raises `SignalReceived` at the first signal, and ignores later ones, for the command is stopping already."""

    def __init__(self) -> None:
        self._is_deferred = False
        self._first: signal.Signals | None = None

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Handle one signal."""
        if self._first is None:
            self._first = signal.Signals(number)
            if not self._is_deferred:
                raise SignalReceived(self._first)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """A block that is not interrupted: a signal that arrives in it is raised at its end."""
        before, self._is_deferred = self._first, True
        try:
            yield
        finally:
            self._is_deferred = False
        if self._first is not before and self._first is not None:
            raise SignalReceived(self._first)


@contextmanager
def handle_signals() -> Iterator[SignalHandler]:
    """Raise signals inside the block as `SignalReceived`, and at its end as `Stopped`.

    A signal that was ignored before, as SIGHUP under `nohup`, stays ignored. For the main thread only.
    """
    handler = SignalHandler()
    handled = [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, handler.handle) for number in handled}
    try:
        yield handler
    except SignalReceived as received:
        raise Stopped(received.number) from None
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
