"""Texts: estimates of tokens, and characters that cannot be stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.texts import estimate_tokens, invalid_character, replace_invalid_characters

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, TEXT)
def test_tokens_add_up_over_a_space(left: str, right: str) -> None:
    assert estimate_tokens(f"{left} {right}") == estimate_tokens(left) + estimate_tokens(right)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), (" \n", 0), ("Paris", 1), ("Hello, world!", 4), ("internationalisation", 4), ("東京都", 2)],
)
def test_tokens_are_estimated_by_bytes_of_words_and_punctuation_marks(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(st.text(st.characters()))
def test_any_text_can_be_stored_after_replacement(text: str) -> None:
    replaced = replace_invalid_characters(text)
    assert replaced.encode("utf-8").decode("utf-8") == replaced
    assert invalid_character(replaced) is None
    assert len(replaced) == len(text)


@pytest.mark.parametrize(
    ("text", "name", "replaced"),
    [
        ("abc", None, "abc"),
        ("a\x00b", "a NUL character", "a\ufffdb"),
        ("b\ud800c", "half of a surrogate pair", "b\ufffdc"),
        ("a\ud800b\x00c", "a NUL character", "a\ufffdb\ufffdc"),
    ],
)
def test_invalid_characters_are_named_and_replaced(text: str, name: str | None, replaced: str) -> None:
    assert (invalid_character(text), replace_invalid_characters(text)) == (name, replaced)
