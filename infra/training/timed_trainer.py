"""What Luthier adds to trl's trainers, whichever the objective."""

import time
from pathlib import Path

from transformers import Trainer

from infra.training.training_history import trained_seconds


class TimedTrainer(Trainer):  # type: ignore[misc]
    """Records the time in its history, and writes no model card."""

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add to each entry when it was measured, and how many seconds were trained until then."""
        logs["seconds"] = self.seconds_before + time.monotonic() - self.started
        logs["at"] = time.time()
        super().log(logs, start_time)

    def create_model_card(self, *_args: object, **_options: object) -> None:
        """Write none: the run has a report of its own."""

    def train_from(self, checkpoint: Path | None) -> None:
        """Train to the end, resuming from `checkpoint` where there is one."""
        self.started = time.monotonic()
        self.seconds_before = trained_seconds(checkpoint)
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
