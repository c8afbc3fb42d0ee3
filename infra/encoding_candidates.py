"""Decoded texts that may be what a file says, and how far their letters stand where no text has them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from infra.alphabets import language_alphabet

MAX_EVIDENCE = 16_384
"""Characters at the beginning of a candidate that are examined: as much as chardet reads."""
SPACING_ACCENTS = frozenset("\xa8\xaf\xb8\u02c6\u02c7\u02c9\u02d8\u02d9\u02da\u02db\u02dc\u02dd")
JOINING_MARKS = frozenset("\u2019\u2018\xb7\u2010\u2011\u2013\u2014\u2026\u2022\xb4")
"""Marks that may stand between two letters."""
FIRST_IDEOGRAPH = 0x2E80
"""Characters from here on belong to scripts without blanks, in which any mark stands between letters."""
OUT_OF_ORDER = re.compile(
    "(?<=[aAlUo])s(?=[aAlUo])|(?<=[aAlUo])[mc]|c(?=[lUo])|m(?=[aAlUo])|(?<=a)i+(?=a)|(?<=[al])U|(?<=l)A|x|(?<![aAlUo])q(?=[lU])"
)
"""By the classes of characters: a symbol within a word, a mathematical one beside a letter, a currency after one, an
ideograph within a word of ASCII, a capital after a small letter, an accent without a letter, and a closing quotation
mark before a word."""
INVALID = re.compile("[\x80-\x9f\ue000-\uf8ff\ufffd]")
"""C1 controls and private characters, which no text has."""
SCRIPTS = {
    "LATIN": "L",
    "CYRILLIC": "C",
    "GREEK": "G",
    "HEBREW": "H",
    "ARABIC": "A",
    "THAI": "T",
    "HALFWIDTH": "K",
}
"""The scripts of which no word has two."""


class _Classes(dict[int, str]):
    """Classes of characters for `str.translate`, each found when it is first needed."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _class_of(chr(code))
        return found


class _Scripts(dict[int, str]):
    """Letters of `SCRIPTS` for `str.translate`; a blank for other characters."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        name = unicodedata.name(character, "").partition(" ")[0]
        self[code] = found = SCRIPTS.get(name, " ") if character.isalpha() else " "
        return found


def _class_of(character: str) -> str:
    """`a` or `A` for a letter of ASCII, `l` or `U` for another; `o` a letter without case.

    Of other characters `s` is a symbol, `m` one of mathematics or boxes, `c` a currency, `x` an accent, `q` a closing
    quotation mark, and `i` an ideograph or another letter of East Asia.
    """
    category = unicodedata.category(character)
    if category in {"Ll", "Lu"}:
        return ("aA" if character.isascii() else "lU")[category == "Lu"]
    if character.isascii() or character in JOINING_MARKS:
        return "q" if character == "\u2019" else " "
    if ord(character) >= FIRST_IDEOGRAPH:
        return "i" if category == "Lo" else " "
    if category in {"Lo", "Lm", "Mn", "Mc"} and character not in SPACING_ACCENTS | {"\u207f"}:
        return "o"
    return _class_of_symbol(character, category)


def _class_of_symbol(character: str, category: str) -> str:
    if character in SPACING_ACCENTS:
        return "x"
    if category == "Sc":
        return "c"
    if category == "Sm" or character in "\xa6\xa7\xb6" or "\u2500" <= character < "\u2600":
        return "m"
    is_symbol = character < "\u0100" or "\u2000" <= character < "\u2600" or character == "\u207f"
    return "s" if is_symbol and (category not in {"Zs", "Cf"} or character == "\xad") else " "


CLASSES = _Classes()
LETTERS_OF_SCRIPTS = _Scripts()


@dataclass(frozen=True)
class Candidate:
    """A decoded text, the encodings that give it, and chardet's confidence in it."""

    text: str
    names: tuple[str, ...]
    confidence: float

    @cached_property
    def disorder(self) -> float:
        """The share of the characters that are not ASCII and stand where no text has them; 1 for impossible ones."""
        if INVALID.search(self.text):
            return 1.0
        return self.misplaced / max(self.non_ascii, 1)

    @cached_property
    def misplaced(self) -> int:
        """The number of characters that stand where no text has them."""
        return len(OUT_OF_ORDER.findall(self.classes)) + self._in_mixed_words

    @cached_property
    def non_ascii(self) -> int:
        """The number of characters that are not ASCII, of those that are examined."""
        return sum(character > "\x7f" for character in self.text[:MAX_EVIDENCE])

    @cached_property
    def letters(self) -> Counter[str]:
        """How often it has each small letter of Latin or Cyrillic that is not ASCII; capitals count as small ones."""
        text = re.sub(r"[\x00-\x7f]+", "", self.text[:MAX_EVIDENCE])
        return Counter(letter for letter in text.lower() if LETTERS_OF_SCRIPTS[ord(letter)] in "LC")

    @property
    def frequent_letters(self) -> int:
        """How many of `letters` are at least a tenth of them."""
        return sum(10 * count >= self.letters.total() for count in self.letters.values())

    def foreign_share(self, places: Sequence[int] | None = None) -> float:
        """The share of its letters, or of those at some places, that its likeliest language does not write."""
        letters = self.letters
        if places is not None:
            letters = Counter(self.text[place].lower() for place in places)
        foreign = sum(
            count
            for letter, count in letters.items()
            if letter in self.letters and letter not in self._alphabet
        )
        return foreign / max(letters.total(), 1)

    @cached_property
    def _alphabet(self) -> Collection[str]:
        return language_alphabet(self.letters)

    @cached_property
    def ascii_letters(self) -> int:
        """The number of letters that are ASCII."""
        return sum(character.isascii() and character.isalpha() for character in self.text[:MAX_EVIDENCE])

    @cached_property
    def script(self) -> str:
        """The script of most of its letters that are not ASCII; "" for none of `SCRIPTS`."""
        scripts = re.sub(r"[\x00-\x7f]+", "", self.text[:MAX_EVIDENCE]).translate(LETTERS_OF_SCRIPTS)
        return max("".join(sorted(set(scripts) - {" "})), key=scripts.count, default="")

    def may_be_capitals(self, other: "Candidate") -> bool:
        """Whether one of them, but in Latin, has nothing but capitals where the other has small letters or no case.

        chardet knows next to no text in capitals alone, which in another encoding are small letters, Thai or Arabic.
        """
        if {self.script, other.script} & {"L", ""}:
            return False
        mine, others = (set(candidate.classes) & set("lU") for candidate in (self, other))
        is_inverted = len(mine) == len(others) == 1 and mine != others
        return is_inverted or (self.script in "TA" and others == {"U"})

    def differing_places(self, other: "Candidate") -> list[int]:
        """The places at which two texts of the same length differ."""
        pairs = zip(self.text[:MAX_EVIDENCE], other.text[:MAX_EVIDENCE], strict=False)
        return [place for place, (mine, others) in enumerate(pairs) if mine != others]

    @cached_property
    def classes(self) -> str:
        """The class of each character, see `_class_of`."""
        return self.text[:MAX_EVIDENCE].translate(CLASSES)

    @cached_property
    def _in_mixed_words(self) -> int:
        """The number of characters that are not ASCII in words of two scripts."""
        text = self.text[:MAX_EVIDENCE]
        words = re.finditer("[A-Z]{2,}", text.translate(LETTERS_OF_SCRIPTS))
        mixed = [text[slice(*word.span())] for word in words if len(set(word.group())) > 1]
        return sum(character > "\x7f" for word in mixed for character in word)
