"""The models that can be fine-tuned: a short catalog of open weights, and a tiny model generated from a seed."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from domain.errors import Invalid
from domain.hyperparameters import Hyperparameters, TrainingObjective, dpo_defaults
from domain.reading import Reads
from domain.rules import check_range


class ModelSource(StrEnum):
    """Where a base model comes from."""

    CATALOG = "CATALOG"
    HUGGING_FACE = "HUGGING_FACE"
    LOCAL = "LOCAL"


class ModelType(StrEnum):
    """The task that a base model is made for."""

    TEXT_GENERATION = "TEXT_GENERATION"
    VIDEO_CLASSIFICATION = "VIDEO_CLASSIFICATION"
    VIDEO_CAPTIONING = "VIDEO_CAPTIONING"


ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
LINEAR_LAYERS = (*ATTENTION, "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """A base model. `defaults` are its own default hyperparameters.

    `revision` is the commit that its files were fetched at, `sha256` the digest of its weights, and `size_bytes` their size;
    None before they were stored. `last_used_at` is when a training last began with it.
    """

    id: str
    model_id: str
    name: str
    description: str | None = None
    source: ModelSource = ModelSource.CATALOG
    model_type: ModelType = ModelType.TEXT_GENERATION
    base_architecture: str
    architecture: str | None = None
    version: str | None = None
    num_parameters: int | None = None
    vocab_size: int | None = None
    max_position_embeddings: int | None = None
    license: str | None = None
    min_rank: int = 1
    max_rank: int = 256
    default_alpha: int = 32
    target_modules: tuple[str, ...] = LINEAR_LAYERS
    revision: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    last_used_at: datetime | None = None
    valid: bool = True
    warnings: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)

    @property
    def estimated_vram_fp16_gb(self) -> float | None:
        """The weights alone at two bytes each, in GB of 10^9 bytes."""
        return None if self.num_parameters is None else round(self.num_parameters * 2 / 1e9, 2)

    @property
    def estimated_vram4bit_gb(self) -> float | None:
        """The weights in NF4 with double quantization, 4.127 bits each (Dettmers et al. 2023, QLoRA, §3)."""
        return None if self.num_parameters is None else round(self.num_parameters * 4.127 / 8 / 1e9, 2)

    def hyperparameters(
        self,
        overrides: dict[str, Any],
        *,
        max_seq_length: int,
        objective: TrainingObjective = TrainingObjective.SFT,
    ) -> Hyperparameters:
        """The overrides that are not None, then the model's own defaults, then the common defaults.

        For DPO, the default learning rate is a tenth of that for SFT. Raises `Invalid` when a value is out of this
        model's range, or has no meaning for the objective.
        """
        common: dict[str, Any] = {
            "num_epochs": 3.0, "learning_rate": 2e-4, "per_device_batch_size": 4,
            "gradient_accumulation_steps": 4, "max_seq_length": max_seq_length, "lora_r": 16,
            "lora_alpha": self.default_alpha, "lora_dropout": 0.05, "target_modules": self.target_modules,
            "warmup_ratio": 0.03, "weight_decay": 0.01,
        }  # fmt: skip
        chosen = {name: value for name, value in overrides.items() if value is not None}
        defaults = common | self.defaults
        if objective is TrainingObjective.DPO:
            defaults |= dpo_defaults(defaults["learning_rate"])
        values = defaults | chosen
        values["target_modules"] = tuple(dict.fromkeys(values["target_modules"]))
        merged = Hyperparameters(**values)
        merged.check_beta(objective)
        self.check(merged)
        return merged

    def check(self, values: Hyperparameters) -> None:
        """Raise `Invalid` when a value is out of this model's range."""
        at = "hyperparameters."
        check_range(values.num_epochs, at + "numEpochs", 0, 1000, open_low=True)
        check_range(values.learning_rate, at + "learningRate", 0, 1, open_low=True)
        check_range(values.per_device_batch_size, at + "perDeviceBatchSize", 1, 1024)
        check_range(values.gradient_accumulation_steps, at + "gradientAccumulationSteps", 1, 1024)
        check_range(values.max_seq_length, at + "maxSeqLength", 16, self.max_position_embeddings or 1_048_576)
        check_range(values.lora_r, at + "loraR", self.min_rank, self.max_rank)
        check_range(values.lora_alpha, at + "loraAlpha", 1, 4096)
        check_range(values.lora_dropout, at + "loraDropout", 0, 0.99)
        check_range(values.warmup_ratio, at + "warmupRatio", 0, 1)
        check_range(values.weight_decay, at + "weightDecay", 0, 1)
        unknown = [name for name in values.target_modules if name not in self.target_modules]
        if unknown or not values.target_modules:
            raise Invalid(
                f"`targetModules` takes {', '.join(self.target_modules)}"
                + (f", not {unknown[0]}." if unknown else ", at least one of them."),
                reason="UNKNOWN_TARGET_MODULE",
                field=at + "targetModules",
            )


class BaseModelReads(Reads[BaseModel], Protocol):
    """Reads base models, which every viewer may see."""

    async def by_model_id(self, model_id: str) -> BaseModel | None: ...


class BaseModels(BaseModelReads, Protocol):
    """Reads and writes base models."""

    async def upsert(self, models: tuple[BaseModel, ...]) -> None:
        """Insert models, and update those that are stored already."""
        ...


TINY = BaseModel(
    id="model_01kg000000e008000000000001",
    model_id="luthier/tiny",
    name="Luthier Tiny",
    description="Llama architecture with 3 million random weights, generated from a fixed seed; can memorize a small table.",
    source=ModelSource.LOCAL,
    base_architecture="llama",
    architecture="LlamaForCausalLM",
    version="2",
    num_parameters=3_385_600,
    vocab_size=2000,
    max_position_embeddings=2048,
    license="apache-2.0",
    max_rank=128,
    default_alpha=64,
    defaults={
        "num_epochs": 20.0, "learning_rate": 3e-3, "per_device_batch_size": 8,
        "gradient_accumulation_steps": 1, "lora_r": 32, "lora_dropout": 0.0, "weight_decay": 0.0,
        "warmup_ratio": 0.05,
    },
)  # fmt: skip

CATALOG = (
    TINY,
    BaseModel(
        id="model_01kg000000e008000000000002",
        model_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        name="SmolLM2 135M Instruct",
        description="The smallest model here that speaks English; trains on a laptop's processor.",
        base_architecture="llama",
        architecture="LlamaForCausalLM",
        version="2",
        num_parameters=134_515_008,
        vocab_size=49_152,
        max_position_embeddings=8192,
        license="apache-2.0",
    ),
    BaseModel(
        id="model_01kg000000e008000000000003",
        model_id="Qwen/Qwen2.5-0.5B-Instruct",
        name="Qwen2.5 0.5B Instruct",
        description="A small multilingual model.",
        base_architecture="qwen2",
        architecture="Qwen2ForCausalLM",
        version="2.5",
        num_parameters=494_032_768,
        vocab_size=151_936,
        max_position_embeddings=32_768,
        license="apache-2.0",
    ),
    BaseModel(
        id="model_01kg000000e008000000000004",
        model_id="TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        name="TinyLlama 1.1B Chat",
        description="Llama chat model of 1.1 billion parameters, Apache-2.0.",
        base_architecture="llama",
        architecture="LlamaForCausalLM",
        version="1.0",
        num_parameters=1_100_048_384,
        vocab_size=32_000,
        max_position_embeddings=2048,
        license="apache-2.0",
    ),
)
"""The base models of every installation; their ids are the same in all of them."""
