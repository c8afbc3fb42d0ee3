"""Errors that the command line prints as one sentence instead of a traceback."""


class Failure(Exception):
    """An error that the user can fix; its message is a sentence, `exit_code` the exit code of the command."""

    exit_code = 1


class StartError(Failure):
    """A part could not be started, or died: one sentence for the user, and the exit code."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
