"""What is measured of texts holds for every text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.measures import digest_of, estimate_tokens, fingerprint_of, normalised, score_of
from domain.texts import storable

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, TEXT)
def test_tokens_add_up_over_a_space(one: str, other: str) -> None:
    assert estimate_tokens(f"{one} {other}") == estimate_tokens(one) + estimate_tokens(other)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), (" \n", 0), ("Paris", 1), ("Hello, world!", 4), ("internationalisation", 4), ("東京都", 2)],
)
def test_tokens_are_estimated_by_word_pieces_and_marks(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(TEXT, st.integers())
def test_a_score_lies_in_the_unit_interval_and_forgets_case_and_spacing(text: str, seed: int) -> None:
    score = score_of(seed, text)
    assert 0 <= score < 1
    assert score_of(seed, f"  {normalised(text)}\n") == score


@given(TEXT, TEXT)
def test_a_fingerprint_tells_input_from_output(one: str, other: str) -> None:
    same = fingerprint_of(one, other) == fingerprint_of(other, one)
    assert same == (normalised(one) == normalised(other)) or "\x1f" in one + other


@given(st.dictionaries(TEXT, TEXT))
def test_a_digest_does_not_depend_on_the_order_of_fields(data: dict[str, str]) -> None:
    assert digest_of(dict(reversed(data.items()))) == digest_of(data)


def test_a_digest_tells_the_exact_texts_apart() -> None:
    assert digest_of({"a": "x"}) != digest_of({"a": "X"})
    assert digest_of({"a": "x"}) != digest_of({"b": "x"})


@given(st.text(st.characters()))
def test_any_text_can_be_kept(text: str) -> None:
    kept = storable(text)
    assert kept.encode("utf-8").decode("utf-8") == kept
    assert "\x00" not in kept
    assert len(kept) == len(text)


def test_what_cannot_be_kept_is_replaced() -> None:
    assert storable("a\x00b\ud800c") == "a\ufffdb\ufffdc"
