"""Fine-tunes: what one is, and what it leaves. How one is started is in `trainings`."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from domain.datasets import OF_JOB, Dataset, RunStatus
from domain.errors import Conflict, NotFound, no_such
from domain.items import Item
from domain.jobs import Job
from domain.pages import Page, Reads, Slice
from domain.rules import safe_name
from domain.training import (
    ArtifactKind,
    FinetuneMethod,
    Hyperparameters,
    InferenceSample,
    Measured,
    ParityReport,
    TrainingPoint,
)

if TYPE_CHECKING:
    from domain.store import Store


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


def metrics_after(before: TrainingMetrics | None, measured: Measured) -> TrainingMetrics:
    """The newest metrics: what a point does not measure stays as it was."""
    point = measured.point
    known = asdict(before) if before else {}
    new = {
        "train_loss": point.train_loss,
        "eval_loss": point.eval_loss,
        "learning_rate": point.learning_rate,
        "tokens_per_second": measured.tokens_per_second,
    }
    known |= {name: value for name, value in new.items() if value is not None}
    known |= {"step": point.step, "epoch": point.epoch, "total_steps": measured.total_steps}
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
        return f"finetunes/{self.id}/"

    @property
    def gguf_key(self) -> str:
        """Where its model is in the bucket, once it is DONE."""
        return f"{self.prefix}{safe_name(self.model_name)}.gguf"

    @property
    def gguf(self) -> Artifact | None:
        """The model file itself; None until there is one."""
        return next((it for it in self.artifacts if self.prefix + it.filename == self.gguf_key), None)

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


class Finetunes(Reads[Finetune], Protocol):
    """The fine-tunes that are kept, with their frozen items, curves and artefacts."""

    async def add(self, finetune: Finetune) -> None:
        """Raises `Conflict` while another of the project's is planned or under way."""
        ...

    async def change(self, id: str, values: Mapping[str, Any]) -> None: ...
    async def lock(self, id: str, *, viewer_id: str) -> Finetune | None: ...
    async def delete(self, id: str) -> None: ...
    async def by_model_name(self, project_id: str, model_name: str, *, viewer_id: str) -> Finetune | None: ...
    async def owner_of(self, id: str) -> str | None:
        """Whose it is, for those who come without a viewer."""
        ...

    async def running_in(self, project_id: str) -> str | None:
        """The fine-tune of a project that is planned or under way."""
        ...

    async def freeze_items(self, id: str, dataset: Dataset, selection: Selection) -> tuple[int, str]:
        """Keep the valid active items as they are now; how many are trained on, and their content hash."""
        ...

    def frozen_items(self, id: str) -> AsyncGenerator[Item, None]:
        """The items of a run in order, trained ones and held-out ones."""
        ...

    async def add_points(self, id: str, points: Sequence[TrainingPoint]) -> None:
        """Add points of the curve; where the step is there already, what was measured now counts."""
        ...

    async def points_page(
        self, ids: list[str], page: Page, *, viewer_id: str
    ) -> dict[str, Slice[TrainingPoint]]: ...
    async def points_total(self, ids: list[str], *, viewer_id: str) -> dict[str, int]: ...
    async def trained_page(self, ids: list[str], page: Page, *, viewer_id: str) -> dict[str, Slice[Item]]:
        """The same page of each fine-tune's trained items, in order."""
        ...

    async def trained_total(self, ids: list[str], *, viewer_id: str) -> dict[str, int]: ...
    async def set_artifacts(self, id: str, artifacts: Sequence[Artifact]) -> None: ...


def missing(id: str, field: str = "id") -> NotFound:
    """What is said of a fine-tune that is not there, or another's; `field` is where the input names it."""
    return NotFound(no_such("fine-tune", id), reason="FINETUNE_NOT_FOUND", field=field)


def already_running(id: str | None) -> Conflict:
    """What is said when a project trains already."""
    return Conflict(
        "A training is already under way in this project.",
        reason="TRAINING_ALREADY_RUNNING",
        context={"finetuneId": id} if id else None,
    )


async def require(store: "Store", id: str, *, viewer_id: str, field: str = "id") -> Finetune:
    """The viewer's fine-tune; raises `NotFound`."""
    finetune = await store.finetunes.get(id, viewer_id=viewer_id)
    if finetune is None:
        raise missing(id, field)
    return finetune


async def follow(store: "Store", job: Job) -> None:
    """A fine-tune is what its job makes of it."""
    values: dict[str, Any] = {"status": OF_JOB[job.status], "error": job.error}
    if job.started_at is not None:
        values["started_at"] = job.started_at
    if job.finished_at is not None:
        values["completed_at"] = job.finished_at
    await store.finetunes.change(job.subject_id, values)


async def delete(store: "Store", id: str, *, viewer_id: str) -> str:
    """Delete a fine-tune and its files; not while it is trained or deployed."""
    found = await require(store, id, viewer_id=viewer_id)
    await store.projects.lock(found.project_id, viewer_id=viewer_id)  # first, as everywhere: no deadlock
    finetune = await store.finetunes.lock(id, viewer_id=viewer_id)
    if finetune is None:
        raise missing(id)
    if finetune.status in {RunStatus.PLANNING, RunStatus.RUNNING}:
        raise Conflict(
            "The fine-tune is still being trained; cancel it first.", reason="TRAINING_RUNNING", field="id"
        )
    if await store.deployments.of_finetune(id):
        raise Conflict(
            "The fine-tune is deployed; delete the deployment first.", reason="FINETUNE_DEPLOYED", field="id"
        )
    await store.chores.delete_files([finetune.prefix])
    await store.chores.unload([id])
    await store.finetunes.delete(id)
    return id


async def job_of(store: "Store", id: str, *, viewer_id: str) -> tuple[Finetune, Job]:
    """A fine-tune with its newest job; raises `NotFound`."""
    finetune = await require(store, id, viewer_id=viewer_id)
    return finetune, (await store.jobs.latest([id], viewer_id=viewer_id))[id]


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
