"""Errors that the command line prints as one sentence instead of a traceback."""


class Failure(Exception):
    """An error that the user can fix; its message is a sentence, `exit_code` the exit code of the command."""

    exit_code = 1
