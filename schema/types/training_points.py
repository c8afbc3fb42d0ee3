"""Points of training curves."""

from datetime import datetime

import strawberry

from domain import training_points
from schema.shared.nodes import converted_from


@converted_from(training_points.TrainingPoint)
@strawberry.type(
    description="One point of a training curve. Losses are mean cross-entropy in nats per "
    "token, or for `DPO` its loss per pair, which is ln 2 = 0.69 before the first step; null means not measured at "
    "this step, or not finite."
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
        description="Perplexity on the held-out items: e to the power of `evalLoss`; null for `DPO`."
    )
    learning_rate: float | None = strawberry.field(description="Learning rate of the optimizer step.")
    token_accuracy: float | None = strawberry.field(
        description="Share of the trained tokens in the batch that the model finds most likely, from 0 to 1; for "
        "`DPO`, of the tokens of the preferred answers."
    )
    reward_margin: float | None = strawberry.field(
        description="For `DPO`: mean difference between the rewards of the preferred and the other answer in the batch, "
        "where the reward of an answer is `beta` times how much its log-probability has grown over the base "
        "model's. Null for `SFT`."
    )
    reward_accuracy: float | None = strawberry.field(
        description="For `DPO`: share of the pairs in the batch whose preferred answer has the higher reward, from 0 to 1. "
        "Null for `SFT`."
    )
    at: datetime = strawberry.field(description="Time of the measurement.")
