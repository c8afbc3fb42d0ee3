"""Training curves: a point for each logged optimizer step or evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.reading import PagedReads


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPoint:
    """A point of a training curve.

    Losses are the mean cross-entropy in nats per token, or DPO's loss. `token_accuracy` is the share of the trained
    tokens that the model finds most likely. Of DPO alone: `reward_margin`, the mean of the difference of the two rewards,
    and `reward_accuracy`, the share of pairs whose preferred answer has the higher reward.
    """

    step: int
    epoch: float
    train_loss: float | None = None
    eval_loss: float | None = None
    perplexity: float | None = None
    learning_rate: float | None = None
    token_accuracy: float | None = None
    reward_margin: float | None = None
    reward_accuracy: float | None = None
    at: datetime


class TrainingPoints(PagedReads, Protocol):
    """Reads and writes the training curves of fine-tunes."""

    async def upsert(self, finetune_id: str, points: Sequence[TrainingPoint]) -> None:
        """Upsert points by step; values that are not None replace the stored ones."""
        ...
