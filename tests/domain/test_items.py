"""How a row becomes an item, and on which side of the split it falls."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.datasets import Dataset
from domain.errors import Invalid
from domain.items import Item, ItemFilter, ItemOrigin, Problem, ProblemCode, Split, make, split_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DATASET = Dataset(
    id="ds_1",
    project_id="prj_1",
    owner_id="user_1",
    version=1,
    name="Capitals",
    input_field="question",
    output_field="answer",
    field_names=("question", "answer", "note"),
    created_at=NOW,
    updated_at=NOW,
)


def item(dataset: Dataset = DATASET, *problems: Problem, line: int | None = None, **values: str) -> Item:
    return make(
        dataset,
        values,
        key="k",
        position=0,
        origin=ItemOrigin.UPLOADED,
        now=NOW,
        problems=problems,
        line=line,
    )


def codes(it: Item) -> list[ProblemCode]:
    return [problem.code for problem in it.problems]


def test_values_follow_the_field_names_and_a_missing_one_is_empty() -> None:
    made = item(answer="Paris", question="Capital of France?")
    assert made.values == ("Capital of France?", "Paris", "")
    assert (made.is_valid, made.token_count) == (True, 6)


def test_an_empty_input_or_output_is_said_with_its_line() -> None:
    made = item(question=" ", answer="", line=7)
    assert made.problems == (
        Problem(ProblemCode.FIELD_MISSING, "Line 7: The field 'question' is empty."),
        Problem(ProblemCode.FIELD_MISSING, "Line 7: The field 'answer' is empty."),
    )
    assert not made.is_valid


def test_a_line_that_could_not_be_read_is_not_judged_further() -> None:
    broken = Problem(ProblemCode.JSON_INVALID, "Line 3 is not JSON.")
    assert item(DATASET, broken, line=3).problems == (broken,)


def test_more_tokens_than_the_project_allows_are_a_problem() -> None:
    small = replace(DATASET, max_tokens=3)
    assert codes(item(small, question="a b", answer="c d")) == [ProblemCode.TOO_MANY_TOKENS]
    assert codes(item(small, question="a b", answer="c")) == []


@pytest.mark.parametrize(
    ("length", "found"),
    [
        (24, [ProblemCode.OUTPUT_TOO_SHORT]),
        (25, []),
        (400, []),
        (401, [ProblemCode.OUTPUT_TOO_LONG]),
    ],
)
def test_outputs_are_between_a_quarter_and_four_times_the_expected_size(
    length: int, found: list[ProblemCode]
) -> None:
    expecting = replace(DATASET, expected_output_size_chars=100)
    assert codes(item(expecting, question="q", answer="x" * length)) == found


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1))
def test_nothing_is_held_out_of_a_small_dataset(score: float, train_share: float) -> None:
    assert split_of(score, train_share, holds_out=False) is Split.TRAIN


@given(st.text(), st.text(), st.integers(0, 2**31), st.floats(0.01, 1))
def test_items_with_one_input_are_on_one_side(one: str, other: str, seed: int, train_share: float) -> None:
    dataset = replace(DATASET, seed=seed, train_share=train_share, holds_out=True)
    first = item(dataset, question="Where?  " + one, answer="a")
    second = item(dataset, question="where? " + one, answer="b", note=other)
    assert first.split is second.split


def test_a_training_share_of_one_holds_nothing_out() -> None:
    dataset = replace(DATASET, train_share=1.0, holds_out=True)
    assert {item(dataset, question=str(number), answer="a").split for number in range(500)} == {Split.TRAIN}


def test_about_the_asked_share_is_trained_on() -> None:
    dataset = replace(DATASET, train_share=0.8, holds_out=True)
    sides = [item(dataset, question=str(number), answer="a").split for number in range(2_000)]
    assert 1_500 < sides.count(Split.TRAIN) < 1_700


@pytest.mark.parametrize("search", ["a\x00b", "x" * 1_001])
def test_a_text_that_cannot_be_looked_for_is_refused(search: str) -> None:
    with pytest.raises(Invalid):
        ItemFilter(search=search).checked()
