"""Direct preference optimization (Rafailov et al. 2023, "Your Language Model is Secretly a Reward Model", arXiv 2305.18290)."""

from pathlib import Path

from datasets import Dataset
from transformers import TrainerCallback
from trl import DPOConfig, DPOTrainer
from trl.trainer.utils import disable_dropout_in_model

from domain.hyperparameters import FinetuneMethod
from domain.ports.trainer import TrainingRun
from infra.training.base_model import LocalBaseModel
from infra.training.data import TokenizedItem, TokenizedSplit
from infra.training.timed_trainer import TimedTrainer
from infra.training.trainer_config import lora_config, training_arguments


class TimedDPOTrainer(TimedTrainer, DPOTrainer):  # type: ignore[misc]
    """trl's trainer for DPO, on pairs that are tokenized already."""

    def _prepare_dataset(self, dataset: Dataset, *_args: object) -> Dataset:
        """Leave the token ids as they are: trl would render the chat template and truncate by its own rules."""
        return dataset


def dpo_trainer(
    run: TrainingRun,
    base_model: LocalBaseModel,
    train: TokenizedSplit,
    held_out: TokenizedSplit,
    work_folder: Path,
    callback: TrainerCallback,
) -> TimedTrainer:
    """A trainer that minimizes DPO's loss (equation 7 of the paper) on the preference pairs in `train`.

    The reference is the same model with its adapter switched off, so that no second one is in memory. The
    log-probability of an answer is the sum over its tokens; those of the prompt are not counted.
    """
    model = base_model.load_weights(quantize_4bit=run.method is FinetuneMethod.QLORA)
    # The base model's own dropout, which would make the reference random; the adapter that is added has `lora_dropout`.
    disable_dropout_in_model(model)
    return TimedDPOTrainer(
        model=model,
        ref_model=None,
        args=DPOConfig(
            **training_arguments(run, work_folder),
            beta=run.hyperparameters.beta,
            loss_type=["sigmoid"],
            disable_dropout=False,
            max_length=None,  # a pair that is too long was left out
        ),
        train_dataset=dpo_dataset(train),
        eval_dataset=dpo_dataset(held_out) if held_out.items else None,
        processing_class=base_model.tokenizer,
        peft_config=lora_config(run.hyperparameters, model),
        callbacks=[callback],
    )


def dpo_dataset(split: TokenizedSplit) -> Dataset:
    """The columns that trl reads: the token ids of each pair's prompt, better answer and worse answer."""
    return Dataset.from_list([_columns(pair) for pair in split.items])


def _columns(pair: TokenizedItem) -> dict[str, list[int]]:
    preferred, non_preferred = (text.input_ids for text in pair.texts)
    # Where a template renders the prompt differently before an answer, the answers begin where it does.
    start = min(len(text.prompt_ids) for text in pair.texts)
    return {
        "prompt_ids": preferred[:start],
        "chosen_ids": preferred[start:],
        "rejected_ids": non_preferred[start:],
    }
