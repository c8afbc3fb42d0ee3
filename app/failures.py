"""What a person can mend, told as one sentence in place of a traceback."""


class Failure(Exception):
    """The message is the sentence; the command ends with `exit_code`."""

    exit_code = 1
