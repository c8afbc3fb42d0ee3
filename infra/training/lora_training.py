"""The training itself: LoRA with trl, reported step by step, resumed from the newest complete checkpoint."""

import json
import math
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed
from trl import SFTConfig, SFTTrainer

from domain.hyperparameters import FinetuneMethod, Hyperparameters
from domain.job_events import Checkpoint, Metric
from domain.ports.trainer import TrainingFailed, TrainingRun
from domain.training_points import TrainingPoint
from infra.training.base_model import LocalBaseModel
from infra.training.data import TokenizedSplit
from infra.training.reporter import Reporter

WHOLE_RUN = 1 - 1e-9
"""transformers takes `warmup_steps` below 1 for a share of all steps, rounded up, and from 1 on for a number of steps."""
STATE_FILE = "trainer_state.json"
PROGRESS_START, PROGRESS_END = 0.05, 0.80  # of the whole run, while it trains
SAVE_STEPS = 0.1  # one checkpoint every tenth of all steps


class TimedSFTTrainer(SFTTrainer):  # type: ignore[misc]
    """trl's trainer, which also records the time in its history and writes no model card."""

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
        self.seconds_before = _seconds(checkpoint) if checkpoint else 0.0
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


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
        for entry in filter(_is_point, state.log_history):
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
        if not _is_point(logs):
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
        """Log the epoch and its last loss."""
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        self.reporter.log(f"Epoch {state.epoch:.0f} of {state.num_train_epochs}: loss {losses[-1]:.3f}")

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


def training_point(entry: dict[str, Any]) -> TrainingPoint:
    """The point that an entry of the trainer's history records."""
    eval_loss = entry.get("eval_loss")
    return TrainingPoint(
        step=entry["step"],
        epoch=entry["epoch"],
        train_loss=_finite(entry.get("loss")),
        eval_loss=_finite(eval_loss),
        perplexity=_finite(math.exp(min(eval_loss, 700.0))) if eval_loss is not None else None,
        learning_rate=entry.get("learning_rate"),
        at=datetime.fromtimestamp(entry["at"], UTC),
    )


def train_adapter(
    run: TrainingRun,
    base_model: LocalBaseModel,
    *,
    train: TokenizedSplit,
    held_out: TokenizedSplit,
    work_folder: Path,
    reporter: Reporter,
) -> None:
    """Train an adapter into `work_folder`/adapter, with the trainer's history beside it.

    Raises `StopRequested`, after a checkpoint was saved.
    """
    set_seed(run.seed)
    if torch.cuda.is_available():  # on a CPU it changes nothing but the speed
        torch.use_deterministic_algorithms(True, warn_only=True)
    trainer = TimedSFTTrainer(
        model=base_model.load_weights(quantize_4bit=run.method is FinetuneMethod.QLORA),
        args=_sft_config(run, work_folder),
        train_dataset=_dataset(train),
        eval_dataset=_dataset(held_out) if held_out.items else None,
        processing_class=base_model.tokenizer,
        peft_config=_lora_config(run.hyperparameters),
        callbacks=[ReportingCallback(reporter, evaluates=bool(held_out.items))],
    )
    trainer.train_from(latest_checkpoint(work_folder))
    reporter.raise_if_stopped()
    _save_adapter(trainer, work_folder)


def latest_checkpoint(work_folder: Path) -> Path | None:
    """The newest checkpoint that was saved completely: the trainer writes its state last."""
    complete = [
        checkpoint for checkpoint in work_folder.glob("checkpoint-*") if _is_json(checkpoint / STATE_FILE)
    ]
    return max(complete, key=lambda checkpoint: int(checkpoint.name.rpartition("-")[2]), default=None)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The steps and evaluations of the trainer state in `folder`, in order."""
    entries: list[dict[str, Any]] = json.loads((folder / STATE_FILE).read_text())["log_history"]
    return list(filter(_is_point, entries))


def _is_point(entry: dict[str, Any]) -> bool:
    return "loss" in entry or "eval_loss" in entry


def _save_adapter(trainer: TimedSFTTrainer, work_folder: Path) -> None:
    partial = work_folder / "adapter.partial"
    trainer.model.save_pretrained(partial)
    trainer.state.save_to_json(str(partial / STATE_FILE))
    partial.rename(work_folder / "adapter")


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return True


def _seconds(checkpoint: Path) -> float:
    history = read_history(checkpoint)
    return float(history[-1]["seconds"]) if history else 0.0


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _dataset(split: TokenizedSplit) -> Dataset:
    rows = [{"input_ids": text.input_ids, "labels": text.labels} for text in split.texts]
    return Dataset.from_list(rows)


def _lora_config(hyperparameters: Hyperparameters) -> LoraConfig:
    return LoraConfig(
        r=hyperparameters.lora_r,
        lora_alpha=hyperparameters.lora_alpha,
        lora_dropout=hyperparameters.lora_dropout,
        target_modules=list(hyperparameters.target_modules),
        bias="none",
        task_type="CAUSAL_LM",
    )


def _sft_config(run: TrainingRun, work_folder: Path) -> SFTConfig:
    cuda = torch.cuda.is_available()
    bf16 = cuda and torch.cuda.is_bf16_supported()
    hyperparameters = run.hyperparameters
    return SFTConfig(
        output_dir=str(work_folder),
        seed=run.seed,
        data_seed=run.seed,
        num_train_epochs=hyperparameters.num_epochs,
        per_device_train_batch_size=hyperparameters.per_device_batch_size,
        per_device_eval_batch_size=hyperparameters.per_device_batch_size,
        gradient_accumulation_steps=hyperparameters.gradient_accumulation_steps,
        learning_rate=hyperparameters.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=min(hyperparameters.warmup_ratio, WHOLE_RUN),
        weight_decay=hyperparameters.weight_decay,
        max_length=hyperparameters.max_seq_length,
        dataset_kwargs={"skip_prepare_dataset": True},  # data.py has tokenized and truncated
        logging_steps=1,
        logging_nan_inf_filter=False,  # NaN must be seen: it ends the run
        eval_strategy="no",  # ReportingCallback evaluates
        save_strategy="steps",
        save_steps=SAVE_STEPS,
        save_total_limit=2,
        gradient_checkpointing=None,  # trl's own default, under its old name
        activation_checkpointing=cuda,
        use_cpu=not cuda,
        bf16=bf16,
        fp16=cuda and not bf16,
        dataloader_pin_memory=cuda,
        disable_tqdm=True,
        report_to=[],
    )


def use_all_cores() -> None:
    """One thread per core that this process may run on."""
    torch.set_num_threads(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
