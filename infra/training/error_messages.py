"""What went wrong, as one sentence for the user. Errors are known by name: this imports no torch."""

import errno
from collections.abc import Iterator

from domain.ports.trainer import TrainingFailed

OUT_OF_MEMORY = (
    "The machine ran out of memory while training; use a smaller batch size, a shorter maximum sequence "
    "length or a smaller base model."
)
UNKNOWN = "The training process failed unexpectedly; the last lines of its log say where."


# The name of an error, or of a base of it, and what it means to the user; the first match wins.
MEANINGS = (
    ("OutOfMemoryError", OUT_OF_MEMORY),
    ("MemoryError", OUT_OF_MEMORY),
    (
        "GatedRepoError",
        "The base model is gated on the Hugging Face hub; accept its terms there and give the worker a HF_TOKEN.",
    ),
    ("RepositoryNotFoundError", "The base model was not found on the Hugging Face hub, or it is private."),
    ("HFValidationError", "The base model's name is not one that the Hugging Face hub can have."),
    (
        "OfflineModeIsEnabled",
        "The base model is not on this machine, and the Hugging Face hub is switched off.",
    ),
    (
        "LocalEntryNotFoundError",
        "The base model is not on this machine, and the Hugging Face hub could not be reached to fetch it.",
    ),
    ("HfHubHTTPError", "The Hugging Face hub answered with an error while the base model was fetched."),
    (
        "ModuleNotFoundError",
        "A package for training is not installed; install luthier[training] on the worker.",
    ),
)


# What the message says, where the error's name says nothing.
WORDS = (
    ("out of memory", OUT_OF_MEMORY),
    ("can't allocate memory", OUT_OF_MEMORY),
    ("Target modules", "The base model has none of the target modules; choose others, or all-linear."),
    ("no file named", "The base model comes without weights in safetensors, which is what is trained."),
    ("trust_remote_code", "The base model needs code of its own, and models' own code is never run here."),
    ("Unrecognized configuration class", "The base model is not a language model that answers in text."),
)


def sentence(error: BaseException) -> str:
    """The sentence for `error`, judged by it and by what caused it."""
    chain = list(_chain(error))
    for each in chain:
        if isinstance(each, TrainingFailed):
            return str(each)
    names = {base.__name__ for each in chain for base in type(each).__mro__}
    return next((text for name, text in MEANINGS if name in names), None) or _by_words(chain)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _by_words(chain: list[BaseException]) -> str:
    for each in chain:
        if isinstance(each, OSError) and each.errno == errno.ENOSPC:
            return "The disk is full; free some space and try again."
        for words, text in WORDS:
            if words in str(each):
                return text
    return UNKNOWN
