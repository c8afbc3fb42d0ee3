"""Training curves: one point for each optimiser step or evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.reading import Pages


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPoint:
    """One point of the curve. Losses are mean cross-entropy in nats per token."""

    step: int
    epoch: float
    train_loss: float | None = None
    eval_loss: float | None = None
    perplexity: float | None = None
    learning_rate: float | None = None
    at: datetime


class TrainingPoints(Pages, Protocol):
    """The training curves of fine-tunes."""

    async def add(self, finetune_id: str, points: Sequence[TrainingPoint]) -> None:
        """Add points of a curve; where the step is there already, the new values replace the old ones."""
        ...
