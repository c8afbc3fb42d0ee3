"""Texts: what UTF-8 and PostgreSQL cannot store, normalization, and an estimate of tokens."""

import re
import unicodedata
from functools import lru_cache

INVALID_CHARACTERS = re.compile("[\x00\ud800-\udfff]")
"""NUL, and halves of surrogate pairs."""
BYTE_ORDER_MARK = "\ufeff"
TOKEN_PIECES = re.compile(r"\w+|[^\w\s]")


def replace_invalid_characters(text: str) -> str:
    """The text with U+FFFD in place of each character that PostgreSQL or UTF-8 cannot hold."""
    return INVALID_CHARACTERS.sub("\ufffd", text)


def invalid_character(text: str) -> str | None:
    """The kind of character in a text that cannot be stored, in words; None when all can."""
    found = INVALID_CHARACTERS.search(text)
    if found is None:
        return None
    return "a NUL character" if "\x00" in text else "half of a surrogate pair"


def canonical(text: str) -> str:
    """The text without trailing white space, in Unicode's composed form (NFC).

    NFC comes last so that the result is in NFC for certain. The order changes nothing else: NFC turns white space into
    white space, and never joins it with what stands beside it.
    """
    return _composed(text.rstrip())


@lru_cache(maxsize=4)
def normalized(text: str) -> str:
    """The text case-folded, with one space between words and none around them, in Unicode's composed form (NFC).

    Case is folded in composed text, and composed again: in Greek, the two cases of one letter fold to different
    sequences of accents. The last results are kept: an item's input is normalized for two purposes.
    """
    return _composed(" ".join(_composed(text).casefold().split()))


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has: one per six UTF-8 bytes of each word, and one per punctuation mark.

    A training counts exactly, with its model's own tokenizer.
    """
    pieces = TOKEN_PIECES.findall(text)
    sizes = map(len, pieces if text.isascii() else map(str.encode, pieces))
    return sum([(size + 5) // 6 for size in sizes])
