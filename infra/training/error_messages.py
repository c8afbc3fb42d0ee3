"""What went wrong, as one sentence for the user. Errors are recognized by name, so that torch is not imported."""

import errno
from collections.abc import Iterator

from domain.ports.trainer import TrainingFailed

OUT_OF_MEMORY = (
    "The machine ran out of memory while training; use a smaller batch size, a shorter maximum sequence "
    "length or a smaller base model."
)
UNKNOWN = "The training process failed unexpectedly; the last lines of its log say where."


# By the name of an error's class or of a base class; the first match wins.
MESSAGES_BY_NAME = (
    ("OutOfMemoryError", OUT_OF_MEMORY),
    ("MemoryError", OUT_OF_MEMORY),
    (
        "ModuleNotFoundError",
        "A package for training is not installed; install luthier[training] on the worker.",
    ),
)


# By a part of the error's text, where its class is too general.
MESSAGES_BY_TEXT = (
    ("out of memory", OUT_OF_MEMORY),
    ("can't allocate memory", OUT_OF_MEMORY),
    ("Target modules", "The base model has none of the target modules; choose others."),
    ("no file named", "The base model comes without weights in safetensors, which is what is trained."),
    ("trust_remote_code", "The base model needs code of its own, and models' own code is never run here."),
    ("Unrecognized configuration class", "The base model is not a language model that answers in text."),
)


def user_message(error: BaseException) -> str:
    """The sentence for `error`, chosen by its kind and text and by those of its causes."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, TrainingFailed):
            return str(cause)
    names = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    return next((text for name, text in MESSAGES_BY_NAME if name in names), None) or _by_text(causes)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _by_text(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            return "The disk is full; free some space and try again."
        for part, text in MESSAGES_BY_TEXT:
            if part in str(cause):
                return text
    return UNKNOWN
