"""Reports a training step by step, and stops it when that was requested."""

import math
from dataclasses import dataclass

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from domain.job_events import Checkpoint, Metric
from domain.ports.trainer import TrainingFailed
from infra.training.reporter import Reporter
from infra.training.training_history import REWARD_ACCURACY, REWARD_MARGIN, is_point, training_point

PROGRESS_START, PROGRESS_END = 0.05, 0.80  # of the whole run, while it trains


@dataclass
class ReportingCallback(TrainerCallback):  # type: ignore[misc]
    """Reports each step, evaluation and checkpoint, and stops the training when that was requested."""

    reporter: Reporter
    evaluates: bool
    last_tokens: float = 0.0  # at the step before, since the beginning of the run
    last_seconds: float = 0.0

    def on_train_begin(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_rest: object
    ) -> None:
        """Report the checkpoint's history again: a killed worker may not have stored its last entries."""
        for entry in filter(is_point, state.log_history):
            self.reporter.report(Metric(training_point(entry), state.max_steps))

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_rest: object
    ) -> None:
        """Evaluate at the end of each epoch; save a checkpoint and stop when that was requested.

        The trainer's own evaluation comes after the epoch's last checkpoint and draws random numbers:
        a run resumed from there would lack the evaluation, and its loss curve would differ.
        """
        if self.evaluates and (float(state.epoch).is_integer() or state.global_step >= state.max_steps):
            control.should_evaluate = True
        if self.reporter.stop_requested.is_set():
            control.should_save = control.should_training_stop = True

    def on_log(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        logs: dict[str, float],
        **_rest: object,
    ) -> None:
        """Report a step or an evaluation."""
        if not is_point(logs):
            return
        point = training_point(state.log_history[-1])
        tokens_per_second = self._tokens_per_second(logs) if "loss" in logs else None
        self.reporter.report(Metric(point, state.max_steps, tokens_per_second))
        if not math.isfinite(logs.get("loss", 0.0)):
            raise TrainingFailed(
                f"The loss is not finite at step {state.global_step}; use a lower learning rate."
            )
        self._report_progress(state)

    def on_save(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_rest: object
    ) -> None:
        """Report a checkpoint by its name, without the path of this machine."""
        self.reporter.report(Checkpoint(state.global_step, f"checkpoint-{state.global_step}"))

    def on_epoch_end(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_rest: object
    ) -> None:
        """Log the epoch and the loss of its last step, and for DPO the rewards."""
        last = next(entry for entry in reversed(state.log_history) if "loss" in entry)
        line = f"Epoch {state.epoch:.0f} of {state.num_train_epochs}: loss {last['loss']:.3f}"
        if REWARD_MARGIN in last:
            line += f", reward margin {last[REWARD_MARGIN]:.3f}, reward accuracy {last[REWARD_ACCURACY]:.2f}"
        self.reporter.log(line)

    def _report_progress(self, state: TrainerState) -> None:
        if not self.reporter.stop_requested.is_set():
            share = state.global_step / state.max_steps
            message = f"Training: step {state.global_step} of {state.max_steps}"
            self.reporter.progress(PROGRESS_START + (PROGRESS_END - PROGRESS_START) * share, message)

    def _tokens_per_second(self, logs: dict[str, float]) -> float | None:
        tokens, seconds = logs["num_tokens"] - self.last_tokens, logs["seconds"] - self.last_seconds
        is_first_step = not self.last_tokens  # of this attempt: no step before it to measure from
        self.last_tokens, self.last_seconds = logs["num_tokens"], logs["seconds"]
        return None if is_first_step else tokens / seconds
