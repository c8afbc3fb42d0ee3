"""Fine-tunes: hyperparameters, metrics, results and artifacts of training runs."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

from domain.artifacts import Artifact, model_artifact
from domain.datasets import Dataset, RunStatus
from domain.errors import Conflict, Invalid
from domain.hyperparameters import FinetuneMethod, Hyperparameters, TrainingObjective
from domain.items import Item
from domain.job_events import Metric
from domain.jobs import Runner
from domain.reading import LockingReads, PagedReads, Reads
from domain.storage_keys import artifact_key, finetune_prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceSample:
    """One prompt, answered greedily by the base model and by the fine-tuned one."""

    prompt: str
    expected: str | None = None
    base_output: str | None = None
    tuned_output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """Comparison of the exported GGUF with the fine-tuned model: chat template, token ids and greedy outputs."""

    passed: bool
    prompts_compared: int
    template_matches: bool
    token_ids_match: bool
    outputs_matching: int
    detail: str | None = None


SAVE_CHECKPOINT = "save_checkpoint"
"""Name of a cancelled job's argument: whether its worker saves a checkpoint before it stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingMetrics:
    """The newest measured values of a run, and its step out of `total_steps`."""

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
    """The metrics after a new point; values that it does not measure are kept from `before`."""
    point = metric.point
    values = asdict(before) if before else {}
    new_values = {
        "train_loss": point.train_loss,
        "eval_loss": point.eval_loss,
        "learning_rate": point.learning_rate,
        "tokens_per_second": metric.tokens_per_second,
    }
    values |= {name: value for name, value in new_values.items() if value is not None}
    values |= {"step": point.step, "epoch": point.epoch, "total_steps": metric.total_steps}
    return TrainingMetrics(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetune:
    """A training run and its results. Its items are frozen when it is created."""

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
    base_model_revision: str | None = None
    base_model_sha256: str | None = None
    objective: TrainingObjective = TrainingObjective.SFT
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
        """The name that the user chose, or else the model name."""
        return self.output_name or self.model_name

    @property
    def prefix(self) -> str:
        """Where its files are in the bucket."""
        return finetune_prefix(self.id)

    @property
    def gguf(self) -> Artifact | None:
        """The artifact that the model runtime loads; None until it is stored."""
        return model_artifact(self.artifacts, self.model_name)

    def key_of(self, artifact: Artifact) -> str:
        """Where an artifact is in the bucket."""
        return artifact_key(self.id, artifact.filename)

    def elapsed_seconds(self, now: datetime) -> float | None:
        """Seconds from its start to its end, or to `now` while it runs; None before it starts."""
        if self.started_at is None:
            return None
        return ((self.completed_at or now) - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneFilter:
    """Conditions that listed fine-tunes fulfill."""

    status: RunStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSampling:
    """Which of a dataset's training items a run uses: the first `number`, or `number` at random; None is all."""

    number: int | None
    random: bool
    seed: int


class FinetuneReads(Reads[Finetune], Protocol):
    """Reads fine-tunes."""

    async def by_model_name(self, project_id: str, model_name: str, *, viewer_id: str) -> Finetune | None: ...
    async def owner_of(self, id: str) -> str | None:
        """The owner's id, for callers that have no viewer; None when there is no such fine-tune."""
        ...

    async def running_in(self, project_id: str) -> str | None:
        """The id of the project's fine-tune that is PLANNING or RUNNING; None when there is none."""
        ...


class Finetunes(FinetuneReads, LockingReads[Finetune], Protocol):
    """Reads and writes fine-tunes and their artifacts."""

    async def add(self, finetune: Finetune) -> None:
        """Insert a fine-tune; raises `Conflict` while another of the project is PLANNING or RUNNING."""
        ...

    async def change(self, id: str, values: Mapping[str, Any]) -> None: ...
    async def delete(self, id: str) -> None: ...
    async def set_artifacts(self, id: str, artifacts: Sequence[Artifact]) -> None: ...


class FrozenItems(PagedReads, Protocol):
    """The frozen items of fine-tunes; pages have the training split in training order."""

    async def freeze(self, finetune_id: str, dataset: Dataset, sampling: ItemSampling) -> tuple[int, str]:
        """Copy a dataset's valid active items; the number of training items and their content hash."""
        ...

    def stream(self, finetune_id: str) -> AsyncGenerator[Item, None]:
        """The frozen items of a fine-tune in order, from a server-side cursor: TRAIN and EVAL."""
        ...


def training_already_running_error(id: str | None) -> Conflict:
    """The error for a second training in a project; `id` is the running fine-tune."""
    return Conflict(
        "A training is already queued or running in this project.",
        reason="TRAINING_ALREADY_RUNNING",
        context={"finetuneId": id} if id else None,
    )


def require_gguf(finetune: Finetune) -> Artifact:
    """The GGUF artifact; raises `Conflict` NOT_READY while there is none."""
    if finetune.gguf is None:
        raise Conflict(
            f"The fine-tune is {finetune.status}; it has no model yet."
            if finetune.status is not RunStatus.DONE
            else "The fine-tune has no GGUF model.",
            reason="NOT_READY",
        )
    return finetune.gguf


MAX_MODEL_NAME_LENGTH = 235
"""File systems take names of 255 bytes, and a GGUF that is being written is `.{name}.gguf.partial`."""
MAX_SEED = 2**31 - 1
"""The largest seed that NumPy, PyTorch and GraphQL's Int all accept."""


RejectionReason = Callable[[FinetuneMethod], str | None]
"""Why a run by a method is not even queued, as a sentence; None where it is."""


def project_slug(name: str) -> str:
    """A project's name in lower case with letters, digits, and underscores for spaces; `project` when none remain."""
    slug = "".join("_" if c.isspace() else c for c in name.lower() if c.isalnum() or c.isspace())
    return slug if slug.strip("_") else "project"


def model_name(base_model_name: str, project_name: str, version: int) -> str:
    """The model name of a fine-tune: `{base_model_name}_{project_slug}_v{version}`.

    Raises `Invalid` where files cannot have the name.
    """
    name = f"{base_model_name}_{project_slug(project_name)}_v{version}"
    if len(name) > MAX_MODEL_NAME_LENGTH:
        raise Invalid(
            f"The model name of this fine-tune would have {len(name)} characters, more than {MAX_MODEL_NAME_LENGTH}; "
            "give the project a shorter name.",
            reason="MODEL_NAME_TOO_LONG",
            field="projectId",
        )
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFinetune:
    """The input of a new fine-tune; None takes the default."""

    project_id: str
    base_model_name: str
    training_dataset_id: str
    training_dataset_number_examples: int | None = None
    training_dataset_select_random: bool = False
    seed: int | None = None
    objective: TrainingObjective = TrainingObjective.SFT
    method: FinetuneMethod | None = None
    hyperparameters: Mapping[str, Any] | None = None
    runner: Runner = Runner.LOCAL
    output_name: str | None = None
