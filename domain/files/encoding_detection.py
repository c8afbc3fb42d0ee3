"""Encodings of text files: what byte order marks and Unicode settle by rule, and which bytes any other guess is about."""

import codecs
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.encodings import MULTIBYTE_ENCODINGS, EncodingReading
from domain.errors import Invalid
from domain.texts import replace_invalid_characters

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BINARY_SIGNATURES = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"%PDF",
    b"PK\x03\x04",
    b"PAR1",
    b"\x1f\x8b",
    b"\xd0\xcf\x11\xe0",
    b"BZh91AY&SY",
    b"\xfd7zXZ",
    b"7z\xbc\xaf",
    b"Rar!\x1a",
    b"ID3\x02",
    b"ID3\x03",
    b"ID3\x04",
    b"GGUF",
    b"\x7fELF",
)
"""The first bytes of binary files, also of those that could be decoded as text."""
HEAD_BYTES = 262_144
"""Bytes at the start of a file that are searched for NUL."""
SAMPLE_BYTES = 65_536
"""Bytes of lines that are not ASCII, from which an encoding is guessed."""
CHUNK = 1_048_576
MAX_LINE_BYTES = 33_554_432
SEPARATORS = (b'"', b",", b" ", b"\n")
"""Bytes that are part of no character in any of the encodings that are guessed."""
ESCAPES = re.compile(rb"\x1b\$|~\{(?:[!-}][!-~])+~\}")
"""What begins the characters of ISO-2022, and those of HZ, which are ASCII bytes."""
UTF7_RUN = re.compile(rb"\+([A-Za-z0-9+/]{3,})-")
UTF7_LETTERS = range(0xC0, 0x700)
"""The letters by which UTF-7 is told from sums and names: those of Latin, Greek, Cyrillic, Hebrew and Arabic."""
OVERLAP = 64
"""Bytes of the chunk before that are searched again for what lies across both."""
READING_CHARS = 200
MAX_READINGS = 3
MIN_UTF8_LINES = 2
MIN_UTF8_CHARACTERS = 2
"""The lines, or characters in one of them, that are UTF-8 throughout in a damaged file."""
ASCII = frozenset(map(chr, range(128)))
MIN_UTF8_TO_BAD = 5
"""How many bytes of UTF-8 a damaged file has for each that is none, whatever else the bytes could be."""


@dataclass(frozen=True, slots=True)
class DetectedEncoding:
    """What a file is read as; with `readings` of a line from it where another encoding is as likely.

    `guess` is the reading of a line where the encoding was guessed without a doubt, and None where a rule settled it.
    """

    name: str
    readings: tuple[EncodingReading, ...] = ()
    guess: EncodingReading | None = None

    @property
    def stored_readings(self) -> tuple[EncodingReading, ...]:
        """The readings as a document has them: one for a guess without a doubt."""
        return self.readings or ((self.guess,) if self.guess else ())


GuessEncodings = Callable[[bytes], Sequence[Sequence[str]]]
"""The likely readings of bytes, the likeliest first, each as the encodings that give it.

There is one where there is no doubt, and none where the bytes are no text.
"""


def detect_encoding(path: Path, guess: GuessEncodings) -> DetectedEncoding:
    """The encoding of a text file; raises `Invalid` when it is empty or no text.

    A byte order mark decides, then whether the whole file is UTF-8. Else `guess` gets lines that are not ASCII.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    for mark, encoding in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return DetectedEncoding(encoding)
    if not head.strip():
        raise Invalid("The file is empty.", reason="FILE_EMPTY")
    if head.startswith(BINARY_SIGNATURES):
        raise _binary_error()
    if b"\x00" in head:
        return DetectedEncoding(_utf16(head))
    is_utf8, has_escapes = _examined(path)
    if is_utf8 and not has_escapes:
        return DetectedEncoding("utf-8")
    return _guessed(path, guess, has_escapes=has_escapes)


def _guessed(path: Path, guess: GuessEncodings, *, has_escapes: bool) -> DetectedEncoding:
    sample = b"".join(_sample(path))
    if not has_escapes and _is_nearly_utf8(sample):
        return DetectedEncoding("utf-8")
    likely = [names for names in guess(sample) if names]
    if has_escapes and (not likely or sample.decode(likely[0][0]).isascii()):
        return DetectedEncoding("utf-8")
    if not has_escapes and _is_partly_utf8(sample, likely[0][0] if likely else ""):
        return DetectedEncoding("utf-8")
    if not likely:
        raise _binary_error()
    name = next((name for name in likely[0] if _decodes(path, name)), likely[0][0])
    others = [names[0] for names in likely[1:MAX_READINGS]]
    readings = _readings(sample, [name, *others])
    return DetectedEncoding(name, readings) if others else DetectedEncoding(name, guess=readings[0])


def _examined(path: Path) -> tuple[bool, bool]:
    """Whether a file is UTF-8 throughout, and whether it is ASCII with escapes; raises `Invalid` for UTF-7."""
    decoder, is_ascii, has_escapes, before = codecs.getincrementaldecoder("utf-8")(), True, False, b""
    try:
        for chunk in _chunks(path):
            is_ascii = is_ascii and chunk.isascii()
            has_escapes = has_escapes or (is_ascii and ESCAPES.search(before + chunk) is not None)
            if is_ascii and any(_is_utf7(run) for run in UTF7_RUN.findall(before + chunk)):
                raise _utf7_error()
            decoder.decode(chunk)
            before = chunk[-OVERLAP:]
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False, False
    return True, is_ascii and has_escapes


def _is_utf7(run: bytes) -> bool:
    """Whether what stands between `+` and `-` is UTF-16 in base 64, of letters that are not ASCII."""
    try:
        text = b64decode(run + b"=" * (-len(run) % 4)).decode("utf-16-be")
    except ValueError:
        return False
    return bool(text) and all(ord(letter) in UTF7_LETTERS and letter.isalpha() for letter in text)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _sample(path: Path) -> Iterator[bytes]:
    """Lines that have more than ASCII, or an escape sequence, up to `SAMPLE_BYTES`.

    No character is cut: a line end is never a part of one in the encodings that are guessed.
    """
    size = 0
    with path.open("rb") as file:
        while size < SAMPLE_BYTES and (line := file.readline(MAX_LINE_BYTES)):
            if not line.isascii() or ESCAPES.search(line):
                line = line if len(line) <= SAMPLE_BYTES else _excerpt(line)
                size += len(line)
                yield line


def _excerpt(line: bytes) -> bytes:
    """The part of a long line around its first byte that is not ASCII, between bytes that no character has in it."""
    found = re.search(rb"[^\x00-\x1a\x1c-\x7f]", line)
    before = max(line.rfind(mark, 0, found.start() if found else 0) for mark in SEPARATORS)
    part = line[before + 1 : before + 1 + SAMPLE_BYTES]
    return part[: max(part.rfind(mark) for mark in SEPARATORS) + 1] or part


def _is_nearly_utf8(sample: bytes) -> bool:
    """Whether nearly all that is not ASCII is UTF-8: then an error that names the bad byte is better than a guess."""
    text = sample.decode("utf-8", errors="replace")
    bad = text.count("\ufffd")
    continued = sum((character > "\x7f") + (character > "\u07ff") for character in text) - 2 * bad
    return continued >= MIN_UTF8_TO_BAD * max(bad, 1)


def _is_partly_utf8(sample: bytes, name: str) -> bool:
    """Whether lines are UTF-8 throughout in a file that is guessed to be in a single-byte encoding."""
    if name in MULTIBYTE_ENCODINGS:
        return False
    counts = [count for line in sample.splitlines() if (count := _utf8_characters(line)) > 0]
    return len(counts) >= MIN_UTF8_LINES or max(counts, default=0) >= MIN_UTF8_CHARACTERS


def _utf8_characters(line: bytes) -> int:
    """The number of characters of a line that are not ASCII; 0 where it is no UTF-8."""
    try:
        return sum(character > "\x7f" for character in line.decode())
    except UnicodeDecodeError:
        return 0


def _utf16(head: bytes) -> str:
    """UTF-16 without a byte order mark, in which nearly every second byte of Western text is NUL."""
    even, odd = head[0::2], head[1::2]
    if even and even.count(0) > len(even) * 0.6 and odd.count(0) < len(odd) * 0.1:
        return "utf-16-be"
    if odd and odd.count(0) > len(odd) * 0.6 and even.count(0) < len(even) * 0.1:
        return "utf-16-le"
    raise _binary_error()


def _decodes(path: Path, name: str) -> bool:
    """Whether the whole file is text in an encoding."""
    decoder = codecs.getincrementaldecoder(name)()
    try:
        for chunk in _chunks(path):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeError:  # some decoders raise it for an escape that has no end
        return False
    return True


def _readings(sample: bytes, encodings: Sequence[str]) -> tuple[EncodingReading, ...]:
    """How each encoding reads the line on which they differ most, around the first difference; of those the shortest."""
    lines = [
        [line.decode(name, errors="replace").strip() for name in encodings] for line in sample.splitlines()
    ]
    most = max(lines, key=lambda texts: (len(set(texts)), len({*texts[0]} - ASCII), -len(texts[0])))
    start = max(_first_difference(most) - READING_CHARS // 4, 0) if max(map(len, most)) > READING_CHARS else 0
    return tuple(
        EncodingReading(encoding=name, line=replace_invalid_characters(text[start : start + READING_CHARS]))
        for name, text in zip(encodings, most, strict=True)
    )


def _first_difference(texts: Sequence[str]) -> int:
    """The first place at which texts differ, or else at which they are not ASCII."""
    columns = enumerate(zip(*texts, strict=False))
    return next((place for place, column in columns if len(set(column)) > 1 or column[0] > "\x7f"), 0)


def _binary_error() -> Invalid:
    return Invalid("The file is not a text table: it holds binary data.", reason="NOT_A_TABLE")


def _utf7_error() -> Invalid:
    return Invalid(
        "The file is UTF-7, which is not read; save it as UTF-8, or name the encoding utf-8 if it is not.",
        reason="NOT_A_TABLE",
    )
