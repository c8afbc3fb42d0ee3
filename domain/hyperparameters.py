"""How a fine-tune is trained: its objective, its method and its hyperparameters."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from domain.errors import Invalid
from domain.rules import check_range

DEFAULT_BETA = 0.1
MAX_BETA = 2


class TrainingObjective(StrEnum):
    """What a training optimizes: SFT the likelihood of the answers, DPO the preference of one answer over another."""

    SFT = "SFT"
    DPO = "DPO"


class FinetuneMethod(StrEnum):
    """Method of fine-tuning."""

    LORA = "LORA"
    QLORA = "QLORA"
    FULL = "FULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """All hyperparameters of a run; none is left to a library's default. `beta` is None but for DPO."""

    num_epochs: float
    learning_rate: float
    per_device_batch_size: int
    gradient_accumulation_steps: int
    max_seq_length: int
    lora_r: int
    lora_alpha: int
    lora_dropout: float
    target_modules: tuple[str, ...]
    warmup_ratio: float
    weight_decay: float
    beta: float | None = None

    def check_beta(self, objective: TrainingObjective) -> None:
        """Raise `Invalid` when `beta` is out of range, or is given although the objective has none."""
        if self.beta is None:
            return
        if objective is not TrainingObjective.DPO:
            raise Invalid(
                f"`beta` is a hyperparameter of the objective DPO; {objective} has none.",
                reason="OBJECTIVE_MISMATCH",
                field="hyperparameters.beta",
            )
        check_range(self.beta, "hyperparameters.beta", 0, MAX_BETA, open_low=True)


def dpo_defaults(sft_learning_rate: float) -> dict[str, Any]:
    """The defaults of DPO that differ from those of SFT, whose default learning rate is given."""
    # A tenth of 0.003 is 0.0003, not 0.00030000000000000003, which a user would be shown.
    return {"beta": DEFAULT_BETA, "learning_rate": float(f"{sft_learning_rate / 10:.12g}")}
