"""Text files: their lines and pieces, and an error that says where a file is no text."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from domain.errors import Invalid

LINE_LIMIT = 8_388_608
"""Most characters of a line."""
PIECE_CHARS = 65_536


def lines_of(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a file with their line ends; raises `Invalid` when one is not text or too long."""
    with path.open(encoding=encoding, newline="") as file:
        number = 0
        while True:
            try:
                line = file.readline(LINE_LIMIT + 1)
            except UnicodeError:
                raise decoding_error(path, encoding) from None
            if not line:
                return
            number += 1
            _check_line(line, number)
            yield line


def _check_line(line: str, number: int) -> None:
    if len(line) > LINE_LIMIT:
        raise _not_a_table_error(f"Line {number:,} has more than {LINE_LIMIT:,} characters.")
    if "\x00" in line:
        raise _not_a_table_error(f"Line {number:,} contains a NUL character: the file is not a text table.")


def pieces_of(path: Path, encoding: str) -> Iterator[str]:
    """The text of a file in pieces of any length; raises `Invalid` when it is not text."""
    with path.open(encoding=encoding, newline="") as file:
        try:
            while piece := file.read(PIECE_CHARS):
                yield piece
        except UnicodeError:
            raise decoding_error(path, encoding) from None


def decoding_error(path: Path, encoding: str) -> Invalid:
    """The error for the first byte that is not text, found in a second pass: `readline` does not report it."""
    decoder, read = codecs.getincrementaldecoder(encoding)(), 0
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(65_536), b""):
            read += len(chunk)
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                position = read - len(error.object) + error.start
                return _not_text_error(encoding, f"the byte at position {position:,} is no text")
            except UnicodeError:  # as the decoder of UTF-16 raises it
                return _not_text_error(
                    encoding,
                    "it does not begin with a byte order mark; -le or -be behind the name says the order",
                )
    return _not_text_error(encoding, f"it ends inside a character at position {read:,}")


def _not_text_error(encoding: str, reason: str) -> Invalid:
    return _not_a_table_error(
        f"The file is not valid {encoding}: {reason}. If it is in another encoding, name that: as the `charset` of the "
        "upload, or with `tune --encoding`."
    )


def _not_a_table_error(message: str) -> Invalid:
    return Invalid(message, reason="NOT_A_TABLE")
