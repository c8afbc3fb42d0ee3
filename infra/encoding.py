"""The encoding of an uploaded text file, detected from its first bytes."""

import codecs

from charset_normalizer import from_bytes

from domain.errors import Invalid

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
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
    b"GGUF",
    b"\x7fELF",
)
"""The first bytes of binary files, also of those that could be decoded as text."""


LEGACY_ENCODINGS = (
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "koi8_r",
    "cp932",
    "gb18030",
    "euc_kr",
    "euc_jp",
    "big5",
)
"""The encodings that are tried when a file is not Unicode: most others would only fit by accident."""


def detect(sample: bytes) -> str:
    """The encoding of a text that begins with `sample`; raises `Invalid` when it is no text."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if sample.startswith(mark):
            return encoding
    if sample.startswith(BINARY_SIGNATURES):
        raise _binary()
    if b"\x00" in sample:
        return _utf16(sample)
    return "utf-8" if _is_utf8(sample) or _is_damaged_utf8(sample) else _guess(sample)


def _is_utf8(sample: bytes) -> bool:
    """Whether these are the first bytes of a UTF-8 text; the last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _is_damaged_utf8(sample: bytes) -> bool:
    """Whether most of what is not ASCII is UTF-8: then an error that names the bad byte is better than a guess."""
    text = sample.decode("utf-8", errors="replace")
    bad = text.count("\ufffd")
    return sum(1 for character in text if character > "\x7f") > 2 * bad


def _utf16(sample: bytes) -> str:
    """UTF-16 without a byte order mark, in which nearly every second byte of Western text is NUL."""
    even, odd = sample[0::2], sample[1::2]
    if even and even.count(0) > len(even) * 0.6 and odd.count(0) < len(odd) * 0.1:
        return "utf-16-be"
    if odd and odd.count(0) > len(odd) * 0.6 and even.count(0) < len(even) * 0.1:
        return "utf-16-le"
    raise _binary()


def _guess(sample: bytes) -> str:
    """The most likely legacy encoding; of equally likely ones the first in `LEGACY_ENCODINGS`."""
    matches = from_bytes(sample[:65_536], cp_isolation=list(LEGACY_ENCODINGS))
    best = matches.best()
    if best is None:
        raise _binary()
    equal = [match for match in matches if (match.chaos, match.coherence) == (best.chaos, best.coherence)]
    likely = {name for match in equal for name in match.could_be_from_charset}
    return next((name for name in LEGACY_ENCODINGS if name in likely), best.encoding)


def _binary() -> Invalid:
    return Invalid("The file is not a text table: it holds binary data.", reason="NOT_A_TABLE")
