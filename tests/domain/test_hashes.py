"""Hashes of items: properties that hold for every text."""

import sys
import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.hashes import digest_of_values, exact_fingerprint_of, fingerprint_of, split_score_of
from domain.texts import canonical, normalized

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, st.integers())
def test_a_split_score_is_in_the_unit_interval_and_ignores_case_and_whitespace(text: str, seed: int) -> None:
    score = split_score_of(seed, text)
    assert 0 <= score < 1
    assert split_score_of(seed, f"  {normalized(text)}\n") == score


@given(TEXT, TEXT)
def test_a_fingerprint_depends_on_which_text_is_the_input(left: str, right: str) -> None:
    is_same = fingerprint_of(left, right) == fingerprint_of(right, left)
    assert is_same == (normalized(left) == normalized(right)) or "\x1f" in left + right


@given(TEXT, TEXT)
def test_exact_fingerprints_are_equal_for_the_same_characters_alone(left: str, right: str) -> None:
    is_same = unicodedata.normalize("NFC", left).rstrip() == unicodedata.normalize("NFC", right).rstrip()
    assert (exact_fingerprint_of(left) == exact_fingerprint_of(right)) is is_same
    for form in ("NFC", "NFD"):
        written = unicodedata.normalize(form, left)
        assert exact_fingerprint_of(f"{written} \u2001\n") == exact_fingerprint_of(left)


@given(TEXT, st.sampled_from(["NFC", "NFD"]))
def test_a_fingerprint_ignores_case_spacing_and_composition(text: str, form: Literal["NFC", "NFD"]) -> None:
    written = unicodedata.normalize(form, text)
    assert fingerprint_of(f"\u3000{written.casefold()} ") == fingerprint_of(text)


WHITE_SPACE = [character for character in map(chr, range(sys.maxunicode + 1)) if character.isspace()]
MARKS = ["\u0301", "\u0338", "\u0345", "\u3099"]


@pytest.mark.parametrize("space", WHITE_SPACE, ids=lambda space: f"U+{ord(space):04X}")
def test_trailing_white_space_is_the_same_before_and_after_composition(space: str) -> None:
    assert exact_fingerprint_of(f"a{space}") == exact_fingerprint_of("a")
    for mark in MARKS:
        assert canonical(f"a{space}{mark}") == unicodedata.normalize("NFC", f"a{space}{mark}").rstrip() != "a"


@given(st.dictionaries(TEXT, TEXT))
def test_a_digest_does_not_depend_on_the_order_of_fields(values: dict[str, str]) -> None:
    assert digest_of_values(dict(reversed(values.items()))) == digest_of_values(values)


def test_digests_of_different_values_or_fields_differ() -> None:
    assert digest_of_values({"a": "x"}) != digest_of_values({"a": "X"})
    assert digest_of_values({"a": "x"}) != digest_of_values({"b": "x"})
