"""The models that can be fine-tuned: those of the catalog, those of a hub, and a tiny model generated from a seed."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from domain import ids
from domain.errors import Invalid
from domain.hyperparameters import Hyperparameters, TrainingObjective, dpo_defaults
from domain.ids import Noun
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

BITS_16BIT = 16.0
BITS_4BIT = 4.127
"""Bits per parameter in NF4 with double quantization (Dettmers et al. 2023, QLoRA, section 3)."""

MODEL_ID = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*")
MAX_MODEL_ID_LENGTH = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """A base model. `defaults` are its own default hyperparameters.

    `revision` is the commit that its files are read at, None before one was resolved. `sha256` is the digest of its
    stored weights at that commit, and `size_bytes` their size; None before they were stored. `last_used_at` is when a
    training last began with it. A model that is not `valid` cannot be fine-tuned: the first of its `warnings` says why.
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
        return _gigabytes(self.num_parameters, BITS_16BIT)

    @property
    def estimated_vram4bit_gb(self) -> float | None:
        """The weights alone at `BITS_4BIT` bits each, in GB of 10^9 bytes."""
        return _gigabytes(self.num_parameters, BITS_4BIT)

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


def _gigabytes(num_parameters: int | None, bits: float) -> float | None:
    return None if num_parameters is None else round(num_parameters * bits / 8 / 1e9, 2)


def max_parameters_4bit(vram_gb: float) -> int:
    """The most parameters of a model whose `estimated_vram4bit_gb` is at most this."""
    return int(min((vram_gb + 0.005) * 1e9 * 8 / BITS_4BIT, 2**63 - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModelFilter:
    """Conditions that listed base models fulfill; `max_vram_gb` leaves out those of unknown size."""

    model_type: ModelType | None = None
    source: ModelSource | None = None
    max_vram_gb: float | None = None


class BaseModelReads(Reads[BaseModel], Protocol):
    """Reads base models, which every viewer may see."""

    async def by_model_id(self, model_id: str) -> BaseModel | None: ...
    async def all(self) -> list[BaseModel]:
        """All models, by name."""
        ...


class BaseModels(BaseModelReads, Protocol):
    """Reads and writes base models."""

    async def lock_catalog(self) -> list[BaseModel]:
        """All models, which no other transaction can add to or change until this one ends."""
        ...

    async def lock_by_model_id(self, new: BaseModel) -> tuple[BaseModel, bool]:
        """The model with the `model_id` of `new`, locked until the transaction ends, and whether it is `new`, just added."""
        ...

    async def put(self, model: BaseModel) -> None:
        """Insert a model, or replace the one with its id."""
        ...

    async def used(self, ids: Collection[str]) -> set[str]:
        """Those of the models that a project or a fine-tune refers to."""
        ...

    async def in_training(self, id: str) -> bool:
        """Whether a fine-tune of the model is PLANNING or RUNNING."""
        ...

    async def delete(self, ids: Collection[str]) -> None: ...

    async def add(self, model: BaseModel) -> bool:
        """Insert a model, unless there is one of its `model_id`; whether it was inserted."""
        ...

    async def stored(self) -> list[BaseModel]:
        """The models that have files in the bucket, the least recently used first."""
        ...

    async def record_files(self, id: str, files: Mapping[str, Any]) -> None:
        """Store `revision`, `sha256` and `size_bytes` of the files in the bucket, all None where they are deleted."""
        ...

    async def record_use(self, id: str, at: datetime) -> None: ...
    async def add_warnings(self, id: str, warnings: Collection[str]) -> None:
        """Add warnings that the model does not have yet."""
        ...

    async def lock_users(self, id: str) -> list[str]:
        """The names of the fine-tunes of the model, which gets no other one until the transaction ends."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLimits:
    """Which models of a hub may be tuned: none beside the catalog's unless `enabled`, and none with larger weights."""

    enabled: bool
    max_bytes: int


def id_of(model_id: str) -> str:
    """The id of the base model with this `model_id`: the same in every installation."""
    return ids.derived(Noun.BASE_MODEL, model_id)


def validated_model_id(model_id: str, field: str = "modelId") -> str:
    """A name of a hub's repository, `name` or `organization/name`; raises `Invalid`."""
    name = model_id.strip()
    is_valid = MODEL_ID.fullmatch(name) and len(name) <= MAX_MODEL_ID_LENGTH
    if not is_valid or ".." in name or "--" in name or name.endswith((".", "-", ".git")):
        raise Invalid(
            f"`{field}` is the name of a model such as Qwen/Qwen2.5-0.5B-Instruct: letters, digits, `.`, `_` and `-`, "
            f"at most {MAX_MODEL_ID_LENGTH} characters.",
            reason="INVALID_MODEL_ID",
            field=field,
        )
    return name


def require_trainable(base: BaseModel, *, is_local: bool) -> None:
    """Raise `Invalid` for a model that cannot be fine-tuned, or not by a worker of this installation."""
    if not base.valid:
        because = base.warnings[0] if base.warnings else "It is not marked as fit for fine-tuning."
        raise Invalid(
            f"The base model '{base.model_id}' cannot be fine-tuned: {because}",
            reason="BASE_MODEL_NOT_VALID",
            field="baseModelName",
        )
    if is_local and base.model_type is not ModelType.TEXT_GENERATION:
        raise Invalid(
            f"The base model '{base.model_id}' is a video model, which workers of this installation cannot train; "
            "`runner: EXTERNAL` leaves it to a worker of your own.",
            reason="VIDEO_MODEL",
            field="runner",
        )


TINY = BaseModel(
    id="model_01kg000000e008000000000001",
    model_id="luthier/tiny",
    name="Luthier Tiny",
    description="A toy with 3 million random weights, generated from a fixed seed: it learns small tables by heart, and "
    "nothing else. To try Luthier out without a download.",
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
