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


MULTIBYTE_ENCODINGS = frozenset(
    name
    for name in ENCODINGS
    if name.startswith(("cp93", "cp94", "shift", "euc", "iso2022", "gb", "hz", "big5", "cp95", "johab"))
)
"""The encodings of East Asia, in which a character takes several bytes."""
DOS_AND_MAC = ("cp4", "cp7", "cp85", "cp86", "cp1125", "mac-")
"""What the names of the encodings of DOS and of the Mac begin with."""
WEB_LABELS: Mapping[str, str] = {
    **dict.fromkeys(
        ("ascii", "us-ascii", "iso-8859-1", "iso8859-1", "iso88591", "latin1", "latin-1", "l1"), "cp1252"
    ),
    "iso-8859-9": "cp1254",
    "latin5": "cp1254",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "dos-874": "cp874",
    "windows-31j": "cp932",
    "x-sjis": "cp932",
    "ms_kanji": "cp932",
    "shift_jis": "cp932",
    "sjis": "cp932",
    "shift-jis": "cp932",
    "x-euc-jp": "euc_jp",
    "x-gbk": "gb18030",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb_2312-80": "gb18030",
    "x-x-big5": "big5",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "windows-949": "cp949",
    "x-mac-cyrillic": "mac-cyrillic",
    "x-mac-ukrainian": "mac-cyrillic",
    "x-mac-roman": "mac-roman",
    "macintosh": "mac-roman",
    "x-mac-ce": "mac-latin2",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "logical": "iso8859-8",
    "unicode-1-1-utf-8": "utf-8",
}
"""What labels mean to browsers, as the WHATWG lists them, where Python knows none or one of fewer characters."""

CENTRAL_EUROPEAN = ("cp1250", "iso8859-2", "cp852", "mac-latin2")
CYRILLIC = ("cp1251", "koi8-r", "koi8-u", "iso8859-5", "cp866", "cp1125", "mac-cyrillic")
WESTERN = ("cp1252", "iso8859-15", "iso8859-1", "cp850", "cp437", "mac-roman")
BALTIC = ("cp1257", "iso8859-13", "iso8859-4", "cp775")
ENCODINGS_OF_LANGUAGES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("bos", "ces", "hrv", "hun", "pol", "slk", "slv"), CENTRAL_EUROPEAN),
    **dict.fromkeys(("bel", "bul", "mkd", "rus", "ukr"), CYRILLIC),
    **dict.fromkeys(
        (
            *("cat", "dan", "deu", "eus", "fin", "fra", "gle", "glg", "isl", "ita"),
            *("nld", "nob", "nor", "por", "spa", "swe"),
        ),
        WESTERN,
    ),
    **dict.fromkeys(("lav", "lit"), BALTIC),
    "ara": ("cp1256", "iso8859-6", "cp720"),
    "ell": ("cp1253", "iso8859-7", "cp737", "mac-greek"),
    "est": BALTIC + WESTERN,
    "fas": ("cp1256",),
    "heb": ("cp1255", "iso8859-8", "cp862"),
    "jpn": ("cp932", "euc_jp", "iso2022_jp", "iso2022_jp_2", "euc_jis_2004"),
    "kaz": ("kz1048", "ptcp154", "cp1251"),
    "kor": ("cp949", "johab", "iso2022_kr"),
    "ron": (*CENTRAL_EUROPEAN, "iso8859-16"),
    "sqi": WESTERN + CENTRAL_EUROPEAN,
    "srp": CYRILLIC + CENTRAL_EUROPEAN,
    "tha": ("cp874",),
    "tur": ("cp1254", "iso8859-9", "cp857"),
    "vie": ("cp1258",),
    "zho": ("gb18030", "big5", "big5hkscs", "hz"),
}
"""The legacy encodings of languages, by ISO 639-3 code, of those that are detected; the likeliest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingReading:
    """How an encoding reads a line of a file."""

    encoding: str
    line: str


MAX_NAME = 40
"""Most characters of an encoding's name: Python keeps what it looked up."""


def validated_encoding(name: str, field: str) -> str:
    """The codec of an encoding's name or alias (`windows-1252`, `latin1`); raises `Invalid` for an unknown one."""
    codec = _codec(name.strip().lower()) if name.isascii() and len(name) <= MAX_NAME else ""
    if codec == "utf-8-sig":
        return "utf-8"
    if codec not in ENCODINGS:
        raise Invalid(
            f"The encoding '{name[:50]}' is not known; name one such as utf-8, windows-1252 or shift_jis.",
            reason="UNKNOWN_ENCODING",
            field=field,
        )
    return codec


def _codec(label: str) -> str:
    """The codec of a label; "" for an unknown one."""
    for known in (label, label.replace("cp-", "cp"), label.removeprefix("x-")):
        try:
            return WEB_LABELS.get(known) or codecs.lookup(known).name
        except (LookupError, ValueError):
            continue
    return ""


def declared_encoding(media_type: str, field: str) -> str | None:
    """The codec that the `charset` of a media type names, which `binary` does not; raises `Invalid` for an unknown one."""
    message = Message()
    message["Content-Type"] = media_type
    charset = message.get_param("charset")
    if not charset or str(charset).strip().lower() == "binary":
        return None
    return validated_encoding(str(charset), field)


def encoding_of_language(readings: Sequence[EncodingReading], language: str) -> str | None:
    """The encoding of the only reading that is one of a language's; None where none or several are.

    None too where a likelier reading is in an encoding of DOS or the Mac: then the language has one that is not shown.
    """
    encodings = ENCODINGS_OF_LANGUAGES.get(language, ())
    places = [place for place, reading in enumerate(readings) if reading.encoding in encodings]
    if len(places) != 1:
        return None
    is_first = places[0] == 0
    has_old = any(reading.encoding.startswith(DOS_AND_MAC) for reading in readings[: places[0] + 1])
    return readings[places[0]].encoding if is_first or not has_old else None


def readings_in_language(guess: EncodingReading, language: str) -> tuple[EncodingReading, ...]:
    """A guess and how the language's likeliest encoding reads the same line; empty where the guess is one of its own.

    Empty too for a language of no legacy encoding, and where the line is read alike.
    """
    encodings = ENCODINGS_OF_LANGUAGES.get(language, (guess.encoding,))
    if guess.encoding in encodings:
        return ()
    line = guess.line.encode(guess.encoding, errors="replace").decode(encodings[0], errors="replace")
    return (guess, EncodingReading(encoding=encodings[0], line=line)) if line != guess.line else ()


def doubtful_encoding_error(readings: Sequence[EncodingReading]) -> Invalid:
    """The error for a text that several encodings fit, with how each reads a line."""
    shown = "; ".join(f"{reading.encoding} reads it as: {reading.line}" for reading in readings)
    return Invalid(
        f"The encoding of the file is in doubt; name the one that reads this line rightly. {shown}",
        reason="ENCODING_DOUBTFUL",
        field="encoding",
        context={"readings": [{"encoding": reading.encoding, "line": reading.line} for reading in readings]},
    )
