"""The training itself: an adapter, trained by the run's objective, resumed from the newest complete checkpoint."""

import os
from pathlib import Path

import torch
from transformers import set_seed

from domain.hyperparameters import TrainingObjective
from domain.ports.trainer import TrainingRun
from infra.training.base_model import LocalBaseModel
from infra.training.data import TokenizedSplit
from infra.training.dpo import dpo_trainer
from infra.training.reporter import Reporter
from infra.training.sft import sft_trainer
from infra.training.timed_trainer import TimedTrainer
from infra.training.training_callback import ReportingCallback
from infra.training.training_history import STATE_FILE, latest_checkpoint

TRAINERS = {TrainingObjective.SFT: sft_trainer, TrainingObjective.DPO: dpo_trainer}


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
    callback = ReportingCallback(reporter, evaluates=bool(held_out.items))
    trainer = TRAINERS[run.objective](run, base_model, train, held_out, work_folder, callback)
    trainer.train_from(latest_checkpoint(work_folder))
    reporter.raise_if_stopped()
    _save_adapter(trainer, work_folder)


def _save_adapter(trainer: TimedTrainer, work_folder: Path) -> None:
    partial = work_folder / "adapter.partial"
    trainer.model.save_pretrained(partial)
    trainer.state.save_to_json(str(partial / STATE_FILE))
    partial.rename(work_folder / "adapter")


def use_all_cores() -> None:
    """One thread per core that this process may run on."""
    torch.set_num_threads(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
