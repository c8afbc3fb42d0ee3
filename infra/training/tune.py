"""The tuning itself: LoRA with trl, reported step by step, resumed from the newest whole checkpoint."""

import json
import math
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed
from trl import SFTConfig, SFTTrainer

from domain.finetunes import FinetuneMethod, Hyperparameters
from domain.job_events import Checkpoint, Metric
from domain.ports.trainer import TrainingFailed, TrainingRun
from domain.training_points import TrainingPoint
from infra.training.base_model import Base
from infra.training.data import Prepared
from infra.training.reporter import Reporter

STATE = "trainer_state.json"
BEGIN, END = 0.05, 0.80  # the part of the whole run that the tuning is
CHECKPOINTS = 0.1  # one every tenth of the run
ALL_LINEAR = "all-linear"


class Tuner(SFTTrainer):  # type: ignore[misc]
    """trl's trainer, which also keeps the time in its history and writes no model card."""

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep when each point was measured, and how many seconds were trained until then."""
        logs["seconds"] = self.seconds_before + time.monotonic() - self.began
        logs["at"] = time.time()
        super().log(logs, start_time)

    def create_model_card(self, *_args: object, **_options: object) -> None:
        """None: the run writes a report of its own."""

    def tune(self, checkpoint: Path | None) -> None:
        """Train to the end, from `checkpoint` where there is one."""
        self.began = time.monotonic()
        self.seconds_before = _seconds(checkpoint) if checkpoint else 0.0
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


@dataclass
class Narrator(TrainerCallback):  # type: ignore[misc]
    """Reports each step, evaluation and checkpoint, and has the run stop when it is asked to."""

    reporter: Reporter
    evaluates: bool
    told: tuple[float, float] = field(default=(0.0, 0.0))  # tokens and seconds at the last step

    def on_train_begin(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_rest: object
    ) -> None:
        """Tell again what the checkpoint knows: the last words of a killed worker may not have been kept."""
        for entry in state.log_history:
            if "loss" in entry or "eval_loss" in entry:
                self.reporter.say(Metric(point(entry), state.max_steps))

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_rest: object
    ) -> None:
        """Evaluate at the end of each epoch; save and stop when that is wished.

        The trainer's own evaluation comes after the epoch's last checkpoint and draws random numbers:
        a run resumed from there would lack a point and take another curve.
        """
        if self.evaluates and (float(state.epoch).is_integer() or state.global_step >= state.max_steps):
            control.should_evaluate = True
        if self.reporter.stop.is_set():
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
        if "loss" not in logs and "eval_loss" not in logs:
            return
        metric = point(state.log_history[-1])
        speed = self._speed(logs) if "loss" in logs else None
        self.reporter.say(Metric(metric, state.max_steps, speed))
        if not math.isfinite(logs.get("loss", 0.0)):
            raise TrainingFailed(
                f"The loss is no longer a number at step {state.global_step}; use a lower learning rate."
            )
        self._progress(state)

    def on_save(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_rest: object
    ) -> None:
        """Report a checkpoint by its name: where this machine keeps it is nobody else's matter."""
        self.reporter.say(Checkpoint(state.global_step, f"checkpoint-{state.global_step}"))

    def on_epoch_end(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_rest: object
    ) -> None:
        """Say in the log how far it has come."""
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        self.reporter.line(f"Epoch {state.epoch:.0f} of {state.num_train_epochs}: loss {losses[-1]:.3f}")

    def _progress(self, state: TrainerState) -> None:
        if not self.reporter.stop.is_set():
            part = state.global_step / state.max_steps
            message = f"Training: step {state.global_step} of {state.max_steps}"
            self.reporter.progress(BEGIN + (END - BEGIN) * part, message)

    def _speed(self, logs: dict[str, float]) -> float | None:
        tokens, seconds = logs["num_tokens"], logs["seconds"]
        tokens_before, seconds_before = self.told
        self.told = tokens, seconds
        # The first step of an attempt has nothing to be measured against.
        return (tokens - tokens_before) / (seconds - seconds_before) if tokens_before else None


def point(entry: dict[str, Any]) -> TrainingPoint:
    """One entry of the trainer's history."""
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


def tune(
    run: TrainingRun, base: Base, *, train: Prepared, held_out: Prepared, work: Path, say: Reporter
) -> None:
    """Train an adapter into `work`/adapter, beside the trainer's history.

    Raises `Interrupted` after the checkpoint when the run was asked to stop.
    """
    set_seed(run.seed)
    if torch.cuda.is_available():  # on a CPU it changes nothing but the speed
        torch.use_deterministic_algorithms(True, warn_only=True)
    four_bits = run.method is FinetuneMethod.QLORA
    tuner = Tuner(
        model=base.load(four_bits=four_bits),
        args=_arguments(run, work),
        train_dataset=_dataset(train),
        eval_dataset=_dataset(held_out) if held_out.rows else None,
        processing_class=base.tokenizer,
        peft_config=_lora(run.hyperparameters),
        callbacks=[Narrator(say, evaluates=bool(held_out.rows))],
    )
    tuner.tune(newest_whole(work))
    say.heed()
    _keep(tuner, work)


def newest_whole(work: Path) -> Path | None:
    """The newest checkpoint that was saved to its end: the trainer's state is written last."""
    whole = [each for each in work.glob("checkpoint-*") if _readable(each / STATE)]
    return max(whole, key=lambda each: int(each.name.rpartition("-")[2]), default=None)


def history(folder: Path) -> list[dict[str, Any]]:
    """The steps and evaluations that the trainer kept in `folder`, in order."""
    entries: list[dict[str, Any]] = json.loads((folder / STATE).read_text())["log_history"]
    return [each for each in entries if "loss" in each or "eval_loss" in each]


def _keep(tuner: Tuner, work: Path) -> None:
    partial = work / "adapter.partial"
    tuner.model.save_pretrained(partial)
    tuner.state.save_to_json(str(partial / STATE))
    partial.rename(work / "adapter")


def _readable(state: Path) -> bool:
    try:
        json.loads(state.read_text())
    except (OSError, ValueError):
        return False
    return True


def _seconds(checkpoint: Path) -> float:
    entries = history(checkpoint)
    return float(entries[-1]["seconds"]) if entries else 0.0


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _dataset(prepared: Prepared) -> Dataset:
    return Dataset.from_list([{"input_ids": row.input_ids, "labels": row.labels} for row in prepared.rows])


def _lora(knobs: Hyperparameters) -> LoraConfig:
    modules = knobs.target_modules
    return LoraConfig(
        r=knobs.lora_r,
        lora_alpha=knobs.lora_alpha,
        lora_dropout=knobs.lora_dropout,
        target_modules=ALL_LINEAR if ALL_LINEAR in modules else list(modules),
        bias="none",
        task_type="CAUSAL_LM",
    )


def _arguments(run: TrainingRun, work: Path) -> SFTConfig:
    cuda = torch.cuda.is_available()
    bf16 = cuda and torch.cuda.is_bf16_supported()
    knobs = run.hyperparameters
    return SFTConfig(
        output_dir=str(work),
        seed=run.seed,
        data_seed=run.seed,
        num_train_epochs=knobs.num_epochs,
        per_device_train_batch_size=knobs.per_device_batch_size,
        per_device_eval_batch_size=knobs.per_device_batch_size,
        gradient_accumulation_steps=knobs.gradient_accumulation_steps,
        learning_rate=knobs.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=knobs.warmup_ratio,  # below 1 it is a part of all steps
        weight_decay=knobs.weight_decay,
        max_length=knobs.max_seq_length,
        dataset_kwargs={"skip_prepare_dataset": True},  # data.py has, and has counted what it cut
        logging_steps=1,
        logging_nan_inf_filter=False,  # a loss that is no number must be seen
        eval_strategy="no",  # the narrator asks for it
        save_strategy="steps",
        save_steps=CHECKPOINTS,
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
