"""The trainer's history: its checkpoints on disk, and the points of the training curve that its entries record."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from domain.training_points import TrainingPoint

STATE_FILE = "trainer_state.json"
REWARD_MARGIN, REWARD_ACCURACY = "rewards/margins", "rewards/accuracies"
"""Names of trl's metrics of DPO; those of an evaluation begin with `eval_`."""


def training_point(entry: dict[str, Any]) -> TrainingPoint:
    """The point that an entry of the trainer's history records.

    The accuracies and the reward margin are those of the step's batch; an evaluation has its loss alone.
    """
    eval_loss = entry.get("eval_loss")
    is_dpo = f"eval_{REWARD_MARGIN}" in entry
    return TrainingPoint(
        step=entry["step"],
        epoch=entry["epoch"],
        train_loss=_finite(entry.get("loss")),
        eval_loss=_finite(eval_loss),
        perplexity=None if eval_loss is None or is_dpo else _finite(math.exp(min(eval_loss, 700.0))),
        learning_rate=entry.get("learning_rate"),
        token_accuracy=_finite(entry.get("mean_token_accuracy")),
        reward_margin=_finite(entry.get(REWARD_MARGIN)),
        reward_accuracy=_finite(entry.get(REWARD_ACCURACY)),
        at=datetime.fromtimestamp(entry["at"], UTC),
    )


def is_point(entry: dict[str, Any]) -> bool:
    """Whether an entry records a step or an evaluation."""
    return "loss" in entry or "eval_loss" in entry


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The steps and evaluations of the trainer state in `folder`, in order."""
    entries: list[dict[str, Any]] = json.loads((folder / STATE_FILE).read_text())["log_history"]
    return list(filter(is_point, entries))


def latest_checkpoint(work_folder: Path) -> Path | None:
    """The newest checkpoint that was saved completely: the trainer writes its state last."""
    complete = [
        checkpoint for checkpoint in work_folder.glob("checkpoint-*") if _is_json(checkpoint / STATE_FILE)
    ]
    return max(complete, key=lambda checkpoint: int(checkpoint.name.rpartition("-")[2]), default=None)


def trained_seconds(checkpoint: Path | None) -> float:
    """The seconds that were trained until a checkpoint; 0 where there is none."""
    history = read_history(checkpoint) if checkpoint else []
    return float(history[-1]["seconds"]) if history else 0.0


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return True


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
