"""Fine-tunes: what a training run is given, what it measures and what it leaves."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from domain.datasets import Dataset, RunStatus
from domain.errors import Conflict
from domain.items import Item
from domain.job_events import Metric
from domain.jobs import Runner
from domain.reading import Locks, Pages, Reads
from domain.storage_keys import finetune_prefix, gguf_filename, gguf_key


class FinetuneMethod(StrEnum):
    """How the weights are tuned."""

    LORA = "LORA"
    QLORA = "QLORA"
    FULL = "FULL"


class ArtifactKind(StrEnum):
    """What an artefact is for."""

    GGUF = "GGUF"
    ADAPTER = "ADAPTER"
    MERGED = "MERGED"
    CONFIG = "CONFIG"
    METRICS = "METRICS"
    REPORT = "REPORT"
    ARCHIVE = "ARCHIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Every knob of a run, with nothing left to a library's default."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceSample:
    """One prompt, answered greedily by the base model and by the tuned one."""

    prompt: str
    expected: str | None = None
    base_output: str | None = None
    tuned_output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """Whether the exported GGUF answers as the trained model did."""

    passed: bool
    prompts_compared: int
    template_matches: bool
    token_ids_match: bool
    outputs_matching: int
    detail: str | None = None


SAVE_CHECKPOINT = "save_checkpoint"
"""Among the arguments of a cancelled job: whether its worker is to keep a checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingMetrics:
    """The newest point of a run, and how far that is."""

    step: int
    total_steps: int
    epoch: float
    train_loss: float | None = None
    eval_loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    accuracy: float | None = None
    f1_score: float | None = None


def updated_metrics(before: TrainingMetrics | None, metric: Metric) -> TrainingMetrics:
    """The newest metrics: what a point does not measure stays as it was."""
    point = metric.point
    known = asdict(before) if before else {}
    new = {
        "train_loss": point.train_loss,
        "eval_loss": point.eval_loss,
        "learning_rate": point.learning_rate,
        "tokens_per_second": metric.tokens_per_second,
    }
    known |= {name: value for name, value in new.items() if value is not None}
    known |= {"step": point.step, "epoch": point.epoch, "total_steps": metric.total_steps}
    return TrainingMetrics(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that a run left in storage."""

    filename: str
    kind: ArtifactKind
    size_bytes: int
    sha256: str
    quantization: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetune:
    """A training run and its results. What it trains on is frozen when it is created."""

    id: str
    project_id: str
    owner_id: str
    version: int
    model_name: str
    output_name: str | None = None
    base_model_name: str
    base_model_id: str | None = None
    status: RunStatus = RunStatus.PLANNING
    error: str | None = None
    method: FinetuneMethod
    hyperparameters: Hyperparameters
    dataset_id: str
    training_dataset_number_examples: int | None = None
    training_dataset_select_random: bool = False
    seed: int = 0
    trained_item_count: int = 0
    trained_content_hash: str | None = None
    metrics: TrainingMetrics | None = None
    model_size_gb: float | None = None
    model_size_parameter: int | None = None
    model_dtype: str | None = None
    model_quantization: str | None = None
    training_time_seconds: float | None = None
    inference_samples: tuple[InferenceSample, ...] = ()
    samples_held_out: bool | None = None
    warnings: tuple[str, ...] = ()
    parity: ParityReport | None = None
    artifacts: tuple[Artifact, ...] = ()
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def name(self) -> str:
        """What the user called it, or else its model name."""
        return self.output_name or self.model_name

    @property
    def prefix(self) -> str:
        """Where its files are in the bucket."""
        return finetune_prefix(self.id)

    @property
    def gguf_key(self) -> str:
        """Where its model is in the bucket, once it is DONE."""
        return gguf_key(self.id, self.model_name)

    @property
    def gguf(self) -> Artifact | None:
        """The model file itself; None until there is one."""
        filename = gguf_filename(self.model_name)
        return next((artifact for artifact in self.artifacts if artifact.filename == filename), None)

    def elapsed_seconds(self, now: datetime) -> float | None:
        """How long it has run, or ran; None before it begins."""
        return (
            None
            if self.started_at is None
            else ((self.completed_at or now) - self.started_at).total_seconds()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneFilter:
    """Which fine-tunes a list shows."""

    status: RunStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which items of a dataset a run is to learn."""

    number: int | None
    random: bool
    seed: int


class FinetuneReads(Reads[Finetune], Protocol):
    """The fine-tunes, as they can be read."""

    async def by_model_name(self, project_id: str, model_name: str, *, viewer_id: str) -> Finetune | None: ...
    async def owner_of(self, id: str) -> str | None:
        """Whose it is, for those who come without a viewer."""
        ...

    async def running_in(self, project_id: str) -> str | None:
        """The fine-tune of a project that is planned or under way."""
        ...


class Finetunes(FinetuneReads, Locks[Finetune], Protocol):
    """The fine-tunes that are kept, with their artefacts."""

    async def add(self, finetune: Finetune) -> None:
        """Raises `Conflict` while another of the project's is planned or under way."""
        ...

    async def change(self, id: str, values: Mapping[str, Any]) -> None: ...
    async def delete(self, id: str) -> None: ...
    async def set_artifacts(self, id: str, artifacts: Sequence[Artifact]) -> None: ...


class FrozenItems(Pages, Protocol):
    """The items that fine-tunes are trained on; in pages the trained ones alone, in order."""

    async def freeze(self, finetune_id: str, dataset: Dataset, selection: Selection) -> tuple[int, str]:
        """Keep the valid active items as they are now; how many are trained on, and their content hash."""
        ...

    def stream(self, finetune_id: str) -> AsyncGenerator[Item, None]:
        """The items of a run in order, trained ones and held-out ones."""
        ...


def already_running(id: str | None) -> Conflict:
    """What is said when a project trains already."""
    return Conflict(
        "A training is already under way in this project.",
        reason="TRAINING_ALREADY_RUNNING",
        context={"finetuneId": id} if id else None,
    )


def require_gguf(finetune: Finetune) -> Artifact:
    """The model file; raises `Conflict` NOT_READY while there is none."""
    if finetune.gguf is None:
        raise Conflict(
            f"The fine-tune is {finetune.status}; it has no model yet."
            if finetune.status is not RunStatus.DONE
            else "The fine-tune has no GGUF model.",
            reason="NOT_READY",
        )
    return finetune.gguf


MAX_SEED = 2**31 - 1
"""What every library that is seeded takes, and GraphQL's Int too."""


Refusal = Callable[[FinetuneMethod], str | None]
"""Why a method cannot run on Luthier's own workers, as a sentence; None where it can."""


def project_slug(name: str) -> str:
    """A project's name as part of a model's name: lower case, letters and digits, spaces to underscores."""
    slug = "".join("_" if c.isspace() else c for c in name.lower() if c.isalnum() or c.isspace())
    return slug if slug.strip("_") else "project"


def model_name(base_model_name: str, project_name: str, version: int) -> str:
    """`{base_model_name}_{project}_v{version}`."""
    return f"{base_model_name}_{project_slug(project_name)}_v{version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFinetune:
    """What is asked for."""

    project_id: str
    base_model_name: str
    training_dataset_id: str
    training_dataset_number_examples: int | None = None
    training_dataset_select_random: bool = False
    seed: int | None = None
    method: FinetuneMethod | None = None
    hyperparameters: Mapping[str, Any] | None = None
    runner: Runner = Runner.LOCAL
    output_name: str | None = None
