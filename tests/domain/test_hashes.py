"""Hashes of items: properties that hold for every text."""

from hypothesis import given
from hypothesis import strategies as st

from domain.hashes import digest_of_values, fingerprint_of, split_score_of
from domain.texts import normalized

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


@given(st.dictionaries(TEXT, TEXT))
def test_a_digest_does_not_depend_on_the_order_of_fields(values: dict[str, str]) -> None:
    assert digest_of_values(dict(reversed(values.items()))) == digest_of_values(values)


def test_digests_of_different_values_or_fields_differ() -> None:
    assert digest_of_values({"a": "x"}) != digest_of_values({"a": "X"})
    assert digest_of_values({"a": "x"}) != digest_of_values({"b": "x"})
