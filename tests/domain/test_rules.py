"""Rules that many nouns share."""

import pytest

from domain.errors import Invalid
from domain.rules import within


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
def test_a_number_outside_its_bounds_is_told_as_people_write_numbers(
    value: float, low: float, high: float, sentence: str
) -> None:
    with pytest.raises(Invalid) as refused:
        within(value, "n", low, high)
    assert refused.value.message == sentence


def test_a_bound_that_is_no_value_itself_is_told_so() -> None:
    within(1, "n", 0, 1, open_low=True)
    with pytest.raises(Invalid, match="must be above 0 and at most 1, not 0"):
        within(0, "n", 0, 1, open_low=True)
