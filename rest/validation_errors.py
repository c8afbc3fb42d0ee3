"""Errors of Pydantic in the words of an API: the path of a field, and the end of a sentence about it."""

import re

from pydantic_core import ErrorDetails

PROBLEMS = {
    "missing": "is missing",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be an array",
}
"""Where Pydantic's own message names a type of Python, or is no part of a sentence."""


def path_of(error: ErrorDetails) -> str:
    """The path of the field, such as `messages[0].role`; empty for the whole body."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])[1:]


def problem_of(error: ErrorDetails) -> str:
    """What is wrong with the field, such as `must be less than or equal to 2`."""
    message = error["msg"].removeprefix("Value error, ").partition(" after validation")[0]
    return PROBLEMS.get(error["type"]) or re.sub(r"^\w+ should", "must", message)
