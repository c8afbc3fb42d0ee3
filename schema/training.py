"""A point of a training curve, which jobs and fine-tunes both show."""

from datetime import datetime

import strawberry


@strawberry.type(description="One point of a training curve. Losses are mean cross-entropy in nats a token.")
class TrainingPoint:
    """One point of a training curve."""

    step: int = strawberry.field(description="The optimiser step.")
    epoch: float = strawberry.field(description="How often all items were seen.")
    train_loss: float | None = strawberry.field(description="The loss of the step's batch.")
    eval_loss: float | None = strawberry.field(description="The loss over the held-out items.")
    perplexity: float | None = strawberry.field(description="e to the evaluation loss.")
    learning_rate: float | None = strawberry.field(description="The learning rate of the step.")
    at: datetime = strawberry.field(description="When it was measured.")
