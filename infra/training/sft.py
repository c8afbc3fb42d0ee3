"""Supervised fine-tuning: trl's trainer, on items that are tokenized already."""

from pathlib import Path

from datasets import Dataset
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from domain.hyperparameters import FinetuneMethod
from domain.ports.trainer import TrainingRun
from infra.training.base_model import LocalBaseModel
from infra.training.data import TokenizedSplit
from infra.training.timed_trainer import TimedTrainer
from infra.training.trainer_config import lora_config, training_arguments


class TimedSFTTrainer(TimedTrainer, SFTTrainer):  # type: ignore[misc]
    """trl's trainer for SFT."""


def sft_trainer(
    run: TrainingRun,
    base_model: LocalBaseModel,
    train: TokenizedSplit,
    held_out: TokenizedSplit,
    work_folder: Path,
    callback: TrainerCallback,
) -> TimedTrainer:
    """A trainer that minimizes the cross-entropy of the labels of the items in `train`."""
    model = base_model.load_weights(quantize_4bit=run.method is FinetuneMethod.QLORA)
    return TimedSFTTrainer(
        model=model,
        args=SFTConfig(
            **training_arguments(run, work_folder),
            max_length=run.hyperparameters.max_seq_length,
            dataset_kwargs={"skip_prepare_dataset": True},  # data.py has tokenized and truncated
        ),
        train_dataset=_dataset(train),
        eval_dataset=_dataset(held_out) if held_out.items else None,
        processing_class=base_model.tokenizer,
        peft_config=lora_config(run.hyperparameters, model),
        callbacks=[callback],
    )


def _dataset(split: TokenizedSplit) -> Dataset:
    return Dataset.from_list([{"input_ids": text.input_ids, "labels": text.labels} for text in split.texts])
