"""The little of a GGUF's header that must be known before it is loaded."""

from pathlib import Path
from struct import calcsize, error, unpack
from typing import Any, BinaryIO

from domain.errors import Invalid

MAGIC = b"GGUF"
VERSIONS = {2, 3}
SCALARS = ("B", "b", "H", "h", "I", "i", "f", "?", "", "", "Q", "q", "d")
"""How `struct` reads each type of value; strings and arrays are made of others."""
STRING, ARRAY = 8, 9
MOST_ENTRIES = 100_000
LONGEST_STRING = 1 << 26  # bytes
LONGEST_CONTEXT = 1 << 28  # tokens: llama.cpp aborts on more


def training_context(path: Path) -> int:
    """How many tokens a model was trained to look at. Raises `Invalid` when the file is not a whole GGUF."""
    try:
        with path.open("rb") as file:
            tokens = _context(file)
    except (error, ValueError, IndexError, OverflowError) as reason:
        raise damaged() from reason
    if not 0 < tokens < LONGEST_CONTEXT:
        raise damaged()
    return tokens


def damaged() -> Invalid:
    """What is said of a file that llama.cpp does not load."""
    return Invalid(
        "The model file cannot be loaded: it is damaged, or not a GGUF that llama.cpp knows.",
        reason="MODEL_DAMAGED",
    )


def _context(file: BinaryIO) -> int:
    if file.read(4) != MAGIC or _number(file, "I") not in VERSIONS:
        raise ValueError("not a GGUF")
    _number(file, "Q")  # tensors
    for _ in range(min(_number(file, "Q"), MOST_ENTRIES)):
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
    if length > LONGEST_STRING:
        raise ValueError("a string without end")
    text = file.read(length)
    if len(text) < length:
        raise ValueError("cut short")
    return text


def _number(file: BinaryIO, form: str) -> Any:
    return unpack("<" + form, file.read(calcsize("<" + form)))[0]
