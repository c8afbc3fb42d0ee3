"""Encodings of texts: their names, readings of a text that several fit, and the choice between them."""

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message

from domain.errors import Invalid

ENCODINGS = frozenset(
    [
        "ascii",
        "utf-8",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "utf-32-le",
        "utf-32-be",
        "cp1250",
        "cp1251",
        "cp1252",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "cp1257",
        "cp1258",
        "cp874",
        "cp437",
        "cp720",
        "cp737",
        "cp775",
        "cp850",
        "cp852",
        "cp855",
        "cp857",
        "cp858",
        "cp860",
        "cp861",
        "cp862",
        "cp863",
        "cp864",
        "cp865",
        "cp866",
        "cp869",
        "cp1125",
        "iso8859-1",
        "iso8859-2",
        "iso8859-3",
        "iso8859-4",
        "iso8859-5",
        "iso8859-6",
        "iso8859-7",
        "iso8859-8",
        "iso8859-9",
        "iso8859-10",
        "iso8859-11",
        "iso8859-13",
        "iso8859-14",
        "iso8859-15",
        "iso8859-16",
        "tis-620",
        "koi8-r",
        "koi8-u",
        "koi8-t",
        "kz1048",
        "ptcp154",
        "mac-roman",
        "mac-latin2",
        "mac-cyrillic",
        "mac-greek",
        "mac-turkish",
        "mac-iceland",
        "cp932",
        "shift_jis",
        "shift_jis_2004",
        "shift_jisx0213",
        "euc_jp",
        "euc_jis_2004",
        "euc_jisx0213",
        "iso2022_jp",
        "iso2022_jp_1",
        "iso2022_jp_2",
        "iso2022_jp_2004",
        "iso2022_jp_3",
        "iso2022_jp_ext",
        "iso2022_kr",
        "gb2312",
        "gbk",
        "gb18030",
        "hz",
        "big5",
        "big5hkscs",
        "cp950",
        "euc_kr",
        "cp949",
        "johab",
    ]
)
"""The encodings of texts that can be named, as Python's codecs are called."""


ENCODINGS_OF_LANGUAGES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("bos", "ces", "hrv", "hun", "pol", "ron", "slk", "slv", "sqi"), ("cp1250", "iso8859-2", "cp852")
    ),
    **dict.fromkeys(
        ("bel", "bul", "mkd", "rus", "srp", "ukr"), ("cp1251", "koi8-r", "koi8-u", "iso8859-5", "cp866")
    ),
    **dict.fromkeys(
        (
            "cat",
            "dan",
            "deu",
            "eus",
            "fin",
            "fra",
            "glg",
            "isl",
            "ita",
            "nld",
            "nob",
            "nor",
            "por",
            "spa",
            "swe",
        ),
        ("cp1252", "iso8859-15"),
    ),
    **dict.fromkeys(("est", "lav", "lit"), ("cp1257", "iso8859-13")),
    "ara": ("cp1256", "iso8859-6"),
    "ell": ("cp1253", "iso8859-7"),
    "fas": ("cp1256",),
    "heb": ("cp1255",),
    "jpn": ("cp932", "euc_jp", "iso2022_jp", "euc_jis_2004"),
    "kor": ("cp949",),
    "tha": ("cp874",),
    "tur": ("cp1254", "iso8859-9"),
    "vie": ("cp1258",),
    "zho": ("gb18030", "big5", "big5hkscs"),
}
"""The legacy encodings of languages, by ISO 639-3 code, of those that are detected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingReading:
    """How an encoding reads a line of a file."""

    encoding: str
    line: str


def validated_encoding(name: str, field: str) -> str:
    """The codec of an encoding's name or alias (`windows-1252`, `latin1`); raises `Invalid` for an unknown one."""
    try:
        codec = codecs.lookup(name.strip()).name if name.isascii() else ""
    except (LookupError, ValueError):
        codec = ""
    if codec in {"utf-8-sig", "ascii"}:
        return "utf-8"
    if codec not in ENCODINGS:
        raise Invalid(
            f"The encoding '{name[:50]}' is not known; name one such as utf-8, windows-1252 or shift_jis.",
            reason="UNKNOWN_ENCODING",
            field=field,
        )
    return codec


def declared_encoding(media_type: str, field: str) -> str | None:
    """The codec that the `charset` of a media type names; raises `Invalid` for an unknown one."""
    message = Message()
    message["Content-Type"] = media_type
    charset = message.get_param("charset")
    return validated_encoding(str(charset), field) if charset else None


def encoding_of_language(readings: Sequence[EncodingReading], language: str) -> str | None:
    """The encoding of the only reading that is one of a language's; None where none or several are."""
    encodings = ENCODINGS_OF_LANGUAGES.get(language, ())
    found = [reading.encoding for reading in readings if reading.encoding in encodings]
    return found[0] if len(found) == 1 else None


def doubtful_encoding_error(readings: Sequence[EncodingReading]) -> Invalid:
    """The error for a text that several encodings fit, with how each reads a line."""
    shown = "; ".join(f"{reading.encoding} reads it as: {reading.line}" for reading in readings)
    return Invalid(
        f"The encoding of the file is in doubt; name the one that reads this line rightly. {shown}",
        reason="ENCODING_DOUBTFUL",
        field="encoding",
        context={"readings": [{"encoding": reading.encoding, "line": reading.line} for reading in readings]},
    )
