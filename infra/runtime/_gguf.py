"""Reads the context length from a GGUF's header, before llama.cpp loads the file."""

from pathlib import Path
from struct import calcsize, unpack
from struct import error as StructError  # noqa: N812
from typing import Any, BinaryIO

from domain.errors import Invalid

MAGIC = b"GGUF"
VERSIONS = {2, 3}
SCALARS = ("B", "b", "H", "h", "I", "i", "f", "?", "", "", "Q", "q", "d")
"""The `struct` format of each type of value; strings and arrays (8, 9) are read by functions."""
STRING, ARRAY = 8, 9
MAX_ENTRIES = 100_000
MAX_STRING_BYTES = 1 << 26
MAX_CONTEXT_TOKENS = 1 << 28  # llama.cpp aborts on more


def training_context(path: Path) -> int:
    """The context length in tokens that a model was trained with. Raises `Invalid` when the file is no complete GGUF."""
    try:
        with path.open("rb") as file:
            tokens = _context(file)
    except (StructError, ValueError, IndexError, OverflowError) as error:
        raise model_damaged_error() from error
    if not 0 < tokens < MAX_CONTEXT_TOKENS:
        raise model_damaged_error()
    return tokens


def model_damaged_error() -> Invalid:
    """The error for a file that llama.cpp does not load."""
    return Invalid(
        "The model file cannot be loaded: it is damaged, or not a GGUF that llama.cpp knows.",
        reason="MODEL_DAMAGED",
    )


def _context(file: BinaryIO) -> int:
    if file.read(4) != MAGIC or _number(file, "I") not in VERSIONS:
        raise ValueError("not a GGUF")
    _number(file, "Q")  # tensors
    for _ in range(min(_number(file, "Q"), MAX_ENTRIES)):
        key = _string(file)
        value = _value(file, _number(file, "I"))
        if key.endswith(b".context_length") and isinstance(value, int):
            return value
    raise ValueError("no context length")


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == STRING:
        return _string(file)
    if kind == ARRAY:
        return _skip_array(file)
    return _number(file, SCALARS[kind])


def _skip_array(file: BinaryIO) -> None:
    kind, count = _number(file, "I"), _number(file, "Q")
    if kind == ARRAY:
        raise ValueError("an array of arrays")
    if kind == STRING:
        for _ in range(count):
            _string(file)
    else:
        file.seek(count * calcsize(SCALARS[kind]), 1)


def _string(file: BinaryIO) -> bytes:
    length = _number(file, "Q")
    if length > MAX_STRING_BYTES:
        raise ValueError("a string that is too long")
    text = file.read(length)
    if len(text) < length:
        raise ValueError("the file ends inside a string")
    return text


def _number(file: BinaryIO, format: str) -> Any:
    return unpack("<" + format, file.read(calcsize("<" + format)))[0]
