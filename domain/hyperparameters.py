"""How a fine-tune is trained: its objective, its method and its hyperparameters."""

from dataclasses import dataclass
from enum import StrEnum


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
    """All hyperparameters of a run; none is left to a library's default."""

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
    beta: float | None = None  # DPO only
