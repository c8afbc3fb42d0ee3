"""Points of training curves."""

from datetime import datetime

import strawberry

from domain import training_points
from schema.shared.nodes import converted_from


@converted_from(training_points.TrainingPoint)
@strawberry.type(
    description="One point of a training curve. Losses are mean cross-entropy in nats per "
    "token; null means not measured at this step, or not finite."
)
class TrainingPoint:
    step: int = strawberry.field(description="Number of completed optimizer steps.")
    epoch: float = strawberry.field(description="Number of completed epochs; may be fractional.")
    train_loss: float | None = strawberry.field(
        description="Training loss on the batch of the optimizer step."
    )
    eval_loss: float | None = strawberry.field(
        description="Evaluation loss on the held-out items, measured at the end of each epoch and of the run."
    )
    perplexity: float | None = strawberry.field(
        description="Perplexity on the held-out items: e to the power of `evalLoss`."
    )
    learning_rate: float | None = strawberry.field(description="Learning rate of the optimizer step.")
    at: datetime = strawberry.field(description="Time of the measurement.")
