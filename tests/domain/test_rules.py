"""Rules for names, texts and numbers."""

import pytest

from domain.errors import Invalid
from domain.rules import check_range


@pytest.mark.parametrize(
    ("value", "low", "high", "sentence"),
    [
        (-1, 0, 2_147_483_647, "`n` must be from 0 to 2,147,483,647, not -1."),
        (200_000_000, 1, 100_000_000, "`n` must be from 1 to 100,000,000, not 200,000,000."),
        (1.5, 0, 0.99, "`n` must be from 0 to 0.99, not 1.5."),
        (-1e300, 0, 1, "`n` must be from 0 to 1, not -1e+300."),
        (float("inf"), 0, 1, "`n` must be from 0 to 1, not inf."),
        (float("nan"), 0, 1, "`n` must be from 0 to 1, not nan."),
    ],
)
def test_a_number_out_of_range_is_refused_with_readable_numbers(
    value: float, low: float, high: float, sentence: str
) -> None:
    with pytest.raises(Invalid) as refused:
        check_range(value, "n", low, high)
    assert refused.value.message == sentence


def test_an_open_bound_is_not_in_the_range_and_the_message_says_so() -> None:
    check_range(1, "n", 0, 1, open_low=True)
    with pytest.raises(Invalid, match="must be above 0 and at most 1, not 0"):
        check_range(0, "n", 0, 1, open_low=True)
