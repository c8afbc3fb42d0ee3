"""Guesses of the encoding of bytes that are no Unicode: chardet ranks the candidates, their letters confirm it or not.

Of 14 short tables in Windows code pages chardet read 12 rightly and charset-normalizer 5. What chardet prefers by
little, what few characters tell, and what is in an encoding that few tables are in is a doubt, for the user to settle.
"""

import re
from collections.abc import Sequence

import chardet

from infra.encoding_candidates import Candidate

MULTIBYTE = ("cp932", "euc_jis_2004", "gb18030", "cp949", "big5hkscs", "johab")
ESCAPED = ("iso2022_jp", "iso2022_jp_2", "iso2022_kr", "hz")
WINDOWS = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    "cp874",
)
RARE = (
    *("mac-roman", "cp850", "cp437", "cp852", "cp866", "mac-cyrillic", "mac-greek", "mac-latin2"),
    *("cp1125", "cp737", "cp720", "cp775", "cp857", "cp862"),
    *("iso8859-4", "iso8859-16", "kz1048"),
)
"""Encodings that are never taken without a question: few tables are still in one, and many texts fit into one."""
SINGLE_BYTE = (
    *WINDOWS,
    *("koi8-r", "koi8-u", "iso8859-2", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-8"),
    *("iso8859-9", "iso8859-13", "iso8859-15"),
    *RARE,
)
"""The encodings that are tried, those first whose names are given where several read the bytes alike."""
COMMON_NAMES = {"euc_jis_2004": "euc_jp", "big5hkscs": "big5"}
"""What an encoding of more characters is called where the sample has none of those."""
MIN_CHARACTERS = 10
"""The number of characters that are not ASCII below which any other orderly candidate makes a doubt."""
MIN_SHARES_OF_CONFIDENCE = {1: 0.4, 2: 0.4, 3: 0.6, 4: 0.7}
"""The share of the best confidence that makes a doubt, by the number of letters that are read otherwise.

Where one or two letters are the whole difference, as in Albanian, chardet prefers the wrong one by far.
"""
MIN_SHARE_OF_MANY_LETTERS = 0.9
FEW_LETTERS = 2
MIN_SHARE_OF_FEW_LETTERS = 0.2
"""The share of the best confidence that makes a doubt where at most two letters that are not ASCII are frequent in the best."""
MIN_SHARE_OF_RARE = 0.9
FOREIGN_TOLERANCE = 0.04
FOREIGN_TOLERANCE_WHERE_THEY_DIFFER = 0.5
"""The difference in the share of letters of no one language that does not count."""
MIN_SHARE_OF_MULTIBYTE = 0.6
"""The share of the best confidence that makes a doubt of a multi-byte encoding, whose structure says more."""
MIN_SHARE_OF_COMPARED = 0.25
"""The share of the best confidence from which a candidate sets how orderly the others must be."""
DISORDER_TOLERANCE = 0.012
"""The difference in disorder that does not count."""
MAX_DISORDER = 0.3
"""The disorder from which bytes are no text."""
MAX_CONTROLS = 2
MAX_SHARE_OF_CONTROLS = 0.02
"""The control characters that a text may have: so many, or this share of its bytes."""
MAX_READINGS = 3
CONTROLS = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0e-\x1f\x7f]")
"""Control characters but for white space; an ANSI escape sequence is one."""
CERTAIN_MARKS = re.compile(
    "(?<=n)\u2019(?=t\\b)|(?<=[a-z])\u2019(?=(?:re|ve|ll)\\b)|(?<=\\bi)\u2019(?=m\\b)"
    "|(?:(?<=\\bit)|(?<=\\bhe)|(?<=\\bshe)|(?<=that)|(?<=what)|(?<=here)|(?<=who)|(?<=how)|(?<=\\blet))\u2019(?=s\\b)"
    "|(?<![^\\W_])\u201c(?=\\S)[^\u201c\u201d\n]*(?<=\\S)\u201d(?![^\\W_])"
    "|(?<![^\\W_])\u2018(?=\\S)[^\u2018\u2019\n]*(?<=\\S)\u2019(?![^\\W_])"
    "|(?<= )[\u2013\u2014](?= )"
    "|(?<=\\d)[ \xa0]?[\u20ac\xb0](?![^\\W_])|(?<![^\\W_])[\u20ac\xa9] ?(?=\\d)",
    re.IGNORECASE,
)
"""Marks of Windows-1252 where no encoding has a letter: contractions, pairs around words, a dash between blanks."""
POSSIBLE_MARKS = re.compile(
    "(?<=[A-Za-z])\u2019(?=[sd]\\b)|(?<![^\\W_])[\u2018\u201c\u2022\u2013\u2014\xa9\u20ac]|[\u2019\u201d\u2026\u2013\u2014\u2122\xae\xb0](?![^\\W_])"
)
"""Marks that stand well, where another encoding may have the end of a word, such as `à` for the ellipsis."""


def guess_encodings(sample: bytes) -> Sequence[Sequence[str]]:
    """The likely texts of a sample of whole lines, the likeliest first, each as the encodings that give it.

    There is one where there is no doubt, and none where the bytes are no text.
    """
    if (escaped := _escaped(sample)) is not None:
        return [escaped]
    controls = CONTROLS.findall(sample)
    if len(controls) > max(MAX_CONTROLS, MAX_SHARE_OF_CONTROLS * len(sample)):
        return []
    text = CONTROLS.sub(b"", sample)
    if _has_certain_marks_alone(text):
        return [WINDOWS[:1]]
    candidates = _candidates(text)
    if all(candidate.disorder >= MAX_DISORDER for candidate in candidates):
        return []
    return [_common_names(text, candidate) for candidate in _likely(candidates)]


def _escaped(sample: bytes) -> list[str] | None:
    """The encodings of ASCII bytes with escapes that read them as other characters, as ISO-2022 and HZ do."""
    if not sample.isascii():
        return None
    texts = {
        name: text for name in ESCAPED if (text := _decoded(sample, name)) is not None and not text.isascii()
    }
    found = [name for name, text in texts.items() if not CONTROLS.search(text.encode())]
    return found or None


def _has_certain_marks_alone(sample: bytes) -> bool:
    """Whether it is ASCII but for typographic marks of Windows-1252, one of which no other encoding has there."""
    text = None if sample.isascii() else _decoded(sample, "cp1252")
    if text is None:
        return False
    rest = CERTAIN_MARKS.sub(
        lambda mark: re.sub("[\u2018\u2019\u201c\u201d\u20ac\xa9\xb0\u2013\u2014\xa0]", "", mark[0]), text
    )
    return len(rest) < len(text) and POSSIBLE_MARKS.sub("", rest).isascii()


def _candidates(sample: bytes) -> list[Candidate]:
    """The texts that the bytes can be, those first in which chardet has most confidence."""
    names = dict[str, list[str]]()
    for name in SINGLE_BYTE + MULTIBYTE:
        text = _decoded(sample, name)
        if text is not None:
            names.setdefault(text, []).append(name)
    confidences = _confidences(sample)
    found = [
        Candidate(text, tuple(found), max(confidences.get(name, 0) for name in found))
        for text, found in names.items()
    ]
    return sorted(found, key=lambda candidate: -candidate.confidence)


def _confidences(sample: bytes) -> dict[str, float]:
    results = chardet.detect_all(
        b"\n" + sample,  # a line that begins as a binary file does is none
        ignore_threshold=True,
        compat_names=False,
        include_encodings=MULTIBYTE + SINGLE_BYTE,
        no_match_encoding="cp1252",
    )
    return {result["encoding"]: result["confidence"] for result in results if result["encoding"] is not None}


def _orderly(possible: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that are as orderly as the most orderly of those in which chardet has much confidence."""
    possible = [candidate for candidate in possible if candidate.disorder < MAX_DISORDER]
    floor = MIN_SHARE_OF_COMPARED * possible[0].confidence
    least = min(candidate.disorder for candidate in possible if candidate.confidence >= floor)
    return [candidate for candidate in possible if candidate.disorder <= least + DISORDER_TOLERANCE]


def _likely(possible: Sequence[Candidate]) -> list[Candidate]:
    """The best candidate, and those that make it a doubt."""
    best, *others = _orderly(possible)
    rivals = [other for other in others if _is_rival(best, other)]
    if not rivals and best.names[0] in RARE:
        others = others or [other for other in possible if other is not best]
        rivals = others[:1]
    return _with_windows([best, *rivals], others) if rivals else [best]


def _is_rival(best: Candidate, other: Candidate) -> bool:
    """Whether a candidate makes the best one a doubt."""
    if best.non_ascii < MIN_CHARACTERS or best.may_be_capitals(other):
        return True
    if {best.names[0], other.names[0]} & {*MULTIBYTE}:
        return other.confidence >= MIN_SHARE_OF_MULTIBYTE * best.confidence
    places = best.differing_places(other)
    if other.misplaced - best.misplaced > MAX_DISORDER * len(places) or _is_foreign(best, other, places):
        return False
    return other.confidence >= _min_share(best, other, places) * best.confidence


def _min_share(best: Candidate, other: Candidate, places: Sequence[int]) -> float:
    """The share of the best confidence from which another candidate is as likely."""
    if other.names[0] in RARE:
        return MIN_SHARE_OF_RARE
    if best.script == "L" and best.frequent_letters <= FEW_LETTERS:
        return MIN_SHARE_OF_FEW_LETTERS
    return MIN_SHARES_OF_CONFIDENCE.get(
        len({best.text[place].lower() for place in places}), MIN_SHARE_OF_MANY_LETTERS
    )


def _is_foreign(best: Candidate, other: Candidate, places: Sequence[int]) -> bool:
    """Whether a candidate has letters that no language writes together, by far more than the best one."""
    more = other.foreign_share() - best.foreign_share()
    more_there = other.foreign_share(places) - best.foreign_share(places)
    return more > FOREIGN_TOLERANCE or more_there > FOREIGN_TOLERANCE_WHERE_THEY_DIFFER


def _with_windows(likely: Sequence[Candidate], others: Sequence[Candidate]) -> list[Candidate]:
    """As many as are shown, among them one in a Windows code page of the script, for Latin that of Western Europe."""
    shown, script = list(likely[:MAX_READINGS]), likely[0].script
    if 2 * likely[0].non_ascii < likely[0].ascii_letters:
        script = "L"
    wanted = WINDOWS[:1] if script == "L" else WINDOWS
    if any({*candidate.names} & {*wanted} for candidate in shown):
        return shown
    pages = [
        other
        for other in others
        if other not in shown and {*other.names} & {*WINDOWS} and other.script in {script, ""}
    ]
    pages.sort(key=lambda page: page.names[0] not in wanted)
    return [*shown[: MAX_READINGS - 1], *pages[:1]] if pages else shown


def _common_names(sample: bytes, candidate: Candidate) -> list[str]:
    common = [COMMON_NAMES[name] for name in candidate.names if name in COMMON_NAMES]
    return [name for name in common if _decoded(sample, name) == candidate.text] + [*candidate.names]


def _decoded(sample: bytes, name: str) -> str | None:
    try:
        return sample.decode(name)
    except UnicodeDecodeError:
        return None
