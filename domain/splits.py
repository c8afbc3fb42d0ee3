"""The splits of a dataset: which items are trained on, and which are held out for evaluation."""

from dataclasses import dataclass
from enum import StrEnum

MIN_ITEMS_TO_HOLD_OUT = 50
"""A dataset with fewer valid items has no evaluation split."""


class Split(StrEnum):
    """Split of an item."""

    PREVIEW = "PREVIEW"
    TRAIN = "TRAIN"
    EVAL = "EVAL"


@dataclass(frozen=True, slots=True)
class SplitStats:
    """The valid items of one split; tokens are estimates (`estimate_tokens`)."""

    split: Split
    count: int
    avg_tokens: float
    min_tokens: int
    max_tokens: int


def split_of(score: float, train_share: float, *, holds_out: bool) -> Split:
    """The split of an item with a score in [0, 1)."""
    return Split.EVAL if holds_out and score >= train_share else Split.TRAIN
