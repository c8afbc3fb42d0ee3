"""New items: values, problems and splits."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.datasets import Dataset
from domain.errors import Invalid
from domain.item_problems import Problem, ProblemCode
from domain.items import Item, ItemFilter, ItemOrigin, new_item
from domain.splits import Split, split_of
from tests.domain.records import DATASET, NOW


def item_of(dataset: Dataset = DATASET, *problems: Problem, line: int | None = None, **values: str) -> Item:
    return new_item(
        dataset,
        values,
        key="k",
        position=0,
        origin=ItemOrigin.UPLOADED,
        now=NOW,
        problems=problems,
        line=line,
    )


def codes(item: Item) -> list[ProblemCode]:
    return [problem.code for problem in item.problems]


def test_values_follow_the_field_names_and_a_missing_one_is_empty() -> None:
    item = item_of(answer="Paris", question="Capital of France?")
    assert item.values == ("Capital of France?", "Paris", "")
    assert (item.is_valid, item.token_count) == (True, 6)


def test_an_empty_input_or_output_is_a_problem_with_its_line() -> None:
    item = item_of(question=" ", answer="", line=7)
    assert item.problems == (
        Problem(ProblemCode.FIELD_MISSING, "Line 7: The field 'question' is empty."),
        Problem(ProblemCode.FIELD_MISSING, "Line 7: The field 'answer' is empty."),
    )
    assert not item.is_valid


def test_a_row_that_could_not_be_read_has_no_further_problems() -> None:
    broken = Problem(ProblemCode.JSON_INVALID, "Line 3 is not JSON.")
    assert item_of(DATASET, broken, line=3).problems == (broken,)


NOT_TEXT = Problem(ProblemCode.NOT_TEXT, "Line 3: the field 'answer' is a list.", is_warning=True)


def test_a_row_with_a_warning_also_has_the_problems_of_its_values() -> None:
    assert item_of(DATASET, NOT_TEXT, line=3, question="q", answer="[]").is_valid
    item = item_of(DATASET, NOT_TEXT, line=3, answer="[]")
    assert codes(item) == [ProblemCode.NOT_TEXT, ProblemCode.FIELD_MISSING]
    assert not item.is_valid


def test_a_row_with_an_error_and_a_warning_has_those_alone() -> None:
    broken = Problem(ProblemCode.JSON_INVALID, "Line 3 has 4 values.")
    item = item_of(DATASET, NOT_TEXT, broken, line=3)
    assert item.problems == (NOT_TEXT, broken)
    assert not item.is_valid


def test_all_problems_include_those_that_other_items_cause() -> None:
    item = item_of(DATASET, NOT_TEXT, question="q", answer="[]")
    assert item.all_problems == (NOT_TEXT,)
    flagged = replace(item, is_duplicate=True, is_near_duplicate=True, is_contradiction=True)
    assert [(problem.code, problem.is_warning) for problem in flagged.all_problems] == [
        (ProblemCode.NOT_TEXT, True),
        (ProblemCode.DUPLICATE, False),
        (ProblemCode.NEAR_DUPLICATE, True),
        (ProblemCode.CONTRADICTION, True),
    ]


def test_more_tokens_than_the_project_allows_are_a_problem() -> None:
    small = replace(DATASET, max_tokens=3)
    assert codes(item_of(small, question="a b", answer="c d")) == [ProblemCode.TOO_MANY_TOKENS]
    assert codes(item_of(small, question="a b", answer="c")) == []


@pytest.mark.parametrize(
    ("length", "problems"),
    [
        (24, [ProblemCode.OUTPUT_TOO_SHORT]),
        (25, []),
        (400, []),
        (401, [ProblemCode.OUTPUT_TOO_LONG]),
    ],
)
def test_outputs_are_between_a_quarter_and_four_times_the_expected_size(
    length: int, problems: list[ProblemCode]
) -> None:
    dataset = replace(DATASET, expected_output_size_chars=100)
    assert codes(item_of(dataset, question="q", answer="x" * length)) == problems


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1))
def test_nothing_is_held_out_of_a_small_dataset(score: float, train_share: float) -> None:
    assert split_of(score, train_share, holds_out=False) is Split.TRAIN


@given(st.text(), st.text(), st.integers(0, 2**31), st.floats(0.01, 1))
def test_items_with_the_same_input_are_in_the_same_split(
    text: str, note: str, seed: int, train_share: float
) -> None:
    dataset = replace(DATASET, seed=seed, train_share=train_share, holds_out=True)
    first = item_of(dataset, question="Where?  " + text, answer="a")
    second = item_of(dataset, question="where? " + text, answer="b", note=note)
    assert first.split is second.split


def test_a_training_share_of_one_holds_nothing_out() -> None:
    dataset = replace(DATASET, train_share=1.0, holds_out=True)
    assert {item_of(dataset, question=str(number), answer="a").split for number in range(500)} == {
        Split.TRAIN
    }


def test_about_the_requested_fraction_of_items_is_for_training() -> None:
    dataset = replace(DATASET, train_share=0.8, holds_out=True)
    splits = [item_of(dataset, question=str(number), answer="a").split for number in range(2_000)]
    assert 1_500 < splits.count(Split.TRAIN) < 1_700


@pytest.mark.parametrize("search", ["a\x00b", "x" * 1_001])
def test_a_search_text_that_cannot_be_stored_or_is_too_long_is_refused(search: str) -> None:
    with pytest.raises(Invalid):
        ItemFilter(search=search).validated()
