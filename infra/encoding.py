"""Guesses of the encoding of bytes that are no Unicode: by chardet, doubted where charset-normalizer disagrees.

chardet was right about 14 of 14 short tables in Windows code pages where charset-normalizer was about 5. What chardet
prefers by little, what reads worse by charset-normalizer's measure of disorder than another reading, and what rests on
a few characters alone is a doubt, for the user to settle.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, islice

import chardet
from charset_normalizer import from_bytes

MULTIBYTE = ("cp932", "euc_jis_2004", "gb18030", "cp949", "big5hkscs", "iso2022_jp_2", "iso2022_kr", "hz")
SINGLE_BYTE = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("koi8-r", "koi8-u", "mac-roman", "cp850", "cp437", "cp852", "cp866"),
    *("iso8859-2", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-9", "iso8859-13", "iso8859-15"),
    *("mac-cyrillic", "mac-greek"),
)
"""The encodings that are tried, those first whose names are given where several read the bytes alike."""
COMMON_NAMES = {"euc_jis_2004": "euc_jp", "big5hkscs": "big5", "iso2022_jp_2": "iso2022_jp"}
"""What an encoding of more characters is called where the sample has none of those."""
CLOSE = 0.7
"""The share of the best confidence from which another reading is as likely."""
FAR = 0.6
"""The same of multi-byte encodings, whose structure says more."""
DISORDER = 0.02
"""The difference of charset-normalizer's `chaos` that does not count."""
MISREAD = re.compile("[\x80-\x9f\xa8\xaf\xb8\u02c6-\u02dd]")
MIXED_WORDS = 0.1
"""The share of words of two scripts that no text has."""
RARE = frozenset({"mac-roman", "mac-greek", "mac-cyrillic", "cp850", "cp437", "cp852"})
"""Encodings that are never taken without a question: few tables are still in one, and many texts fit into one."""
HALF = 0.5
"""The share of the best confidence from which another reading is as likely where few characters tell."""
FEW_CHARACTERS = 4
"""The number of characters below which chardet's preference says little."""
TYPOGRAPHY = re.compile(
    "(?<=[a-z])\u2019(?=(?:s|t|re|ve|ll|d|m)\\b)"
    "|(?<![^\\W_])[\u2018\u201c\u201e\u2022\u2013\u2014]"
    "|[\u2019\u201d\u2026\u2013\u2014\u2122\xa9\xae\xb0\u20ac](?![^\\W_])",
    re.IGNORECASE,
)
"""Where the typographic characters of Windows-1252 stand in English; elsewhere those bytes are letters."""
SECOND_OPINION_BYTES = 8_192


def guess_encodings(sample: bytes) -> Sequence[Sequence[str]]:
    """The likely readings of a sample of whole lines, the likeliest first, each as the encodings that give it.

    There is one where there is no doubt, and none where the bytes are no text.
    """
    western = None if sample.isascii() else _decoded(sample, "cp1252")
    if western is not None and TYPOGRAPHY.sub("", western).isascii():
        return [["cp1252"]]
    ranked = _ranked(sample)
    return [_names(sample, text) for text in _likely(sample, ranked)] if ranked else []


def _ranked(sample: bytes) -> dict[str, float]:
    """The readings that chardet finds possible, with their confidence; the best first."""
    results = chardet.detect_all(
        sample,
        ignore_threshold=True,
        compat_names=False,
        include_encodings=MULTIBYTE + SINGLE_BYTE,
        no_match_encoding="cp1252",
    )
    found = dict[str, float]()
    for result in results:
        text = _decoded(sample, result["encoding"] or "")
        if text is not None:
            found.setdefault(text, result["confidence"])
    orderly = {text: confidence for text, confidence in found.items() if not _is_disorderly(text)}
    return orderly or found


def _likely(sample: bytes, ranked: dict[str, float]) -> list[str]:
    best, confidence = next(iter(ranked.items()))
    if any(_decoded(sample, name) == best for name in MULTIBYTE):
        return [text for text, other in ranked.items() if other >= FAR * confidence]
    disorder = _disorder(sample)
    least = min(disorder.values(), default=1.0)
    plausible = {text for text, chaos in disorder.items() if chaos <= least + DISORDER}
    close = [text for text, other in ranked.items() if other >= CLOSE * confidence and text in plausible]
    if best not in plausible or _non_ascii(best) < FEW_CHARACTERS:
        others = [_decoded(sample, name) for name in SINGLE_BYTE]
        close += [text for text in others if text in plausible and ranked.get(text, 0) >= HALF * confidence]
    likely = list(dict.fromkeys([best, *close]))
    is_rare = len(likely) == 1 and _names(sample, best)[0] in RARE
    return list(ranked)[:2] if is_rare else likely


def _disorder(sample: bytes) -> dict[str, float]:
    """The single-byte readings that charset-normalizer accepts, with its measure of disorder; the best first."""
    lines = sample.splitlines(keepends=True)
    ends = accumulate(map(len, lines))
    part = (
        b"".join(line for line, end in zip(lines, ends, strict=True) if end <= SECOND_OPINION_BYTES)
        or lines[0]
    )
    found = dict[str, float]()
    for match in from_bytes(part, cp_isolation=[name.replace("-", "_") for name in SINGLE_BYTE]):
        for name in match.could_be_from_charset:
            text = _decoded(sample, name)
            if text is not None:
                found.setdefault(text, match.chaos)
    return found


def _names(sample: bytes, text: str) -> list[str]:
    names = [name for name in SINGLE_BYTE + MULTIBYTE if _decoded(sample, name) == text]
    common = [COMMON_NAMES[name] for name in names if name in COMMON_NAMES]
    return [name for name in common if _decoded(sample, name) == text] + names


def _decoded(sample: bytes, name: str) -> str | None:
    try:
        return sample.decode(name)
    except UnicodeDecodeError:
        return None


def _non_ascii(text: str) -> int:
    return sum(character > "\x7f" for character in text)


def _is_disorderly(text: str) -> bool:
    """Whether a reading has control characters, accents without a letter, or words of two scripts, as misread ones do."""
    if MISREAD.search(text):
        return True
    words = [word for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()]
    mixed = sum(len({_script(letter) for letter in word} - {""}) > 1 for word in islice(words, 1_000))
    return mixed > MIXED_WORDS * min(len(words), 1_000)


@lru_cache(maxsize=10_000)
def _script(letter: str) -> str:
    """The script of a letter, of those that no word mixes; "" for others."""
    script = unicodedata.name(letter, "").partition(" ")[0]
    return script if script in {"LATIN", "CYRILLIC", "GREEK", "HEBREW", "ARABIC", "THAI"} else ""
