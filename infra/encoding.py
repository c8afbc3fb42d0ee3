"""The encoding of an uploaded text file, told from its first bytes."""

import codecs

from charset_normalizer import from_bytes

from domain.errors import Invalid

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MAGIC = (
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
"""How files begin that are surely no text, even where their first bytes could be read as some."""


OLDER = (
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
"""What is looked for when a file is not Unicode: of all that there are, most would only fit by accident."""


def detect(sample: bytes) -> str:
    """The encoding of a text that begins with `sample`; raises `Invalid` when it is no text."""
    for mark, encoding in MARKS:
        if sample.startswith(mark):
            return encoding
    if sample.startswith(MAGIC):
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
    """Whether more of what is not ASCII is UTF-8 than not: better to name the bad byte than to guess the rest."""
    text = sample.decode("utf-8", errors="replace")
    bad = text.count("\ufffd")
    return sum(1 for it in text if it > "\x7f") > 2 * bad


def _utf16(sample: bytes) -> str:
    """UTF-16 without a mark: nearly every second byte of Western text is NUL; else it is no text."""
    even, odd = sample[0::2], sample[1::2]
    if even and even.count(0) > len(even) * 0.6 and odd.count(0) < len(odd) * 0.1:
        return "utf-16-be"
    if odd and odd.count(0) > len(odd) * 0.6 and even.count(0) < len(even) * 0.1:
        return "utf-16-le"
    raise _binary()


def _guess(sample: bytes) -> str:
    """The likeliest of the older encodings; of equally likely ones the first in `OLDER`."""
    matches = from_bytes(sample[:65_536], cp_isolation=list(OLDER))
    best = matches.best()
    if best is None:
        raise _binary()
    peers = [it for it in matches if (it.chaos, it.coherence) == (best.chaos, best.coherence)]
    names = {name for it in peers for name in it.could_be_from_charset}
    return next((name for name in OLDER if name in names), best.encoding)


def _binary() -> Invalid:
    return Invalid("The file is not a text table: it holds binary data.", reason="NOT_A_TABLE")
