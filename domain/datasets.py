"""Training datasets: one version within its project, from its first plan to its items."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from domain import ids, projects
from domain.documents import Document
from domain.errors import Conflict, NotFound, no_such
from domain.fields import check_descriptions, check_fields, check_language
from domain.jobs import Job, JobStatus, Runner
from domain.pages import Page, Reads, Slice
from domain.patches import changes
from domain.rules import NAME_LIMIT, TEXT_LIMIT, bounded, named, within

if TYPE_CHECKING:
    from domain.store import Store


class DatasetOrigin(StrEnum):
    """Where the items come from."""

    GENERATED = "GENERATED"
    UPLOADED = "UPLOADED"


class RunStatus(StrEnum):
    """PLANNING until the first worker begins; then as its job."""

    PLANNING = "PLANNING"
    RUNNING = "RUNNING"
    ABORTED = "ABORTED"
    FAILED = "FAILED"
    DONE = "DONE"
    DELETED = "DELETED"


OF_JOB = {
    JobStatus.QUEUED: RunStatus.PLANNING,
    JobStatus.RUNNING: RunStatus.RUNNING,
    JobStatus.SUCCESS: RunStatus.DONE,
    JobStatus.FAILED: RunStatus.FAILED,
    JobStatus.CANCELLED: RunStatus.ABORTED,
}
"""What a job's status makes of the run that it works on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A training dataset. `train_share` and `seed` decide the split, and stay as they were at creation."""

    id: str
    project_id: str
    owner_id: str
    version: int
    name: str
    description: str | None = None
    status: RunStatus = RunStatus.PLANNING
    error: str | None = None
    origin: DatasetOrigin = DatasetOrigin.UPLOADED
    file_count: int = 0
    total_size_bytes: int = 0
    generate_prompt: str | None = None
    input_field: str
    output_field: str
    field_names: tuple[str, ...]
    json_object_fields: dict[str, Any] | None = None
    expected_output_size_chars: int | None = None
    language_iso: str = "eng"
    corpus_name: str | None = None
    generate_examples_number: int | None = None
    generate_model: str | None = None
    generate_model_runner: str | None = None
    generation_time_seconds: float | None = None
    train_share: float = 0.9
    seed: int = 0
    holds_out: bool = False
    max_tokens: int = 2048
    created_at: datetime
    updated_at: datetime

    def checked(self) -> "Dataset":
        """The dataset with its texts trimmed; raises `Invalid` when a value breaks a rule."""
        fields = tuple(named(name, "fieldNames", limit=100) for name in self.field_names)
        check_fields(fields, self.input_field.strip(), self.output_field.strip())
        check_language(self.language_iso)
        self._check_values()
        check_descriptions(self.json_object_fields)
        return replace(
            self,
            name=named(self.name, "name"),
            field_names=fields,
            input_field=self.input_field.strip(),
            output_field=self.output_field.strip(),
        )

    def _check_values(self) -> None:
        for text, field, limit in (
            (self.description, "description", TEXT_LIMIT),
            (self.generate_prompt, "generatePrompt", TEXT_LIMIT),
            (self.corpus_name, "corpusName", NAME_LIMIT),
            (self.generate_model, "generateModel", NAME_LIMIT),
        ):
            if text is not None:
                bounded(text, field, limit=limit)
        if self.expected_output_size_chars is not None:
            within(self.expected_output_size_chars, "expectedOutputSizeChars", 1, 10_000_000)
        if self.generate_examples_number is not None:
            within(self.generate_examples_number, "generateExamplesNumber", 1, 10_000_000)

    @property
    def prefix(self) -> str:
        """Where external workers write results, in the bucket."""
        return f"datasets/{self.owner_id}/{self.id}/"


@dataclass(frozen=True, slots=True)
class PromptRevision:
    """An earlier prompt of a dataset."""

    prompt: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFilter:
    """Which datasets a list shows."""

    status: RunStatus | None = None


class Datasets(Reads[Dataset], Protocol):
    """The datasets that are kept."""

    async def add(self, dataset: Dataset) -> None: ...
    async def change(self, id: str, values: Mapping[str, Any]) -> None: ...
    async def lock(self, id: str, *, viewer_id: str) -> Dataset | None: ...
    async def add_revision(self, id: str, revision: PromptRevision) -> None: ...
    async def revisions(self, ids: list[str], first: int) -> dict[str, list[PromptRevision]]:
        """The newest revisions of each dataset, newest first."""
        ...

    async def owner_of(self, id: str) -> str | None: ...
    async def referred(self, ids: list[str], *, viewer_id: str) -> dict[str, Dataset]:
        """As `many`, but for what still refers to a dataset: the deleted ones too."""
        ...

    async def link(self, id: str, document_id: str, size_bytes: int) -> bool:
        """Remember that a dataset was imported from a document, and count it once; False when it was before."""
        ...

    async def documents_page(
        self, ids: list[str], page: Page, *, viewer_id: str
    ) -> dict[str, Slice[Document]]: ...
    async def documents_total(self, ids: list[str], *, viewer_id: str) -> dict[str, int]: ...
    async def delete(self, id: str) -> None:
        """Mark DELETED; only the items that a fine-tune was trained on are kept."""
        ...


def missing(id: str) -> NotFound:
    """What is said of a dataset that is not there, or another's."""
    return NotFound(no_such("dataset", id), reason="DATASET_NOT_FOUND", field="datasetId")


async def require(store: "Store", id: str, *, viewer_id: str) -> Dataset:
    """The viewer's dataset; raises `NotFound`."""
    dataset = await store.datasets.get(id, viewer_id=viewer_id)
    if dataset is None:
        raise missing(id)
    return dataset


async def require_locked(store: "Store", id: str, *, viewer_id: str) -> Dataset:
    """The viewer's dataset, held until the transaction ends; raises `NotFound`."""
    dataset = await store.datasets.lock(id, viewer_id=viewer_id)
    if dataset is None:
        raise missing(id)
    return dataset


async def create(
    store: "Store", project_id: str, values: Mapping[str, Any], *, viewer_id: str, now: datetime
) -> Dataset:
    """The next version of a project's dataset, PLANNING and without items."""
    project = await projects.require_locked(store, project_id, viewer_id=viewer_id)
    projects.require_active(project)
    given = dict(values)
    name = given.pop("name", None)
    dataset = Dataset(
        id=ids.new("Dataset"),
        project_id=project_id,
        owner_id=viewer_id,
        version=await store.projects.next_version(project_id, "dataset"),
        name=name if name is not None else project.name,
        origin=DatasetOrigin.GENERATED if given.get("generate_prompt") else DatasetOrigin.UPLOADED,
        train_share=project.train_eval_split,
        max_tokens=project.max_seq_length,
        created_at=now,
        updated_at=now,
        **given,
    ).checked()
    await store.datasets.add(dataset)
    return dataset


ALWAYS_EDITABLE = frozenset({"name", "description"})
REQUIRED = frozenset({"name", "input_field", "output_field", "field_names", "language_iso"})


async def update(
    store: "Store", id: str, patch: Mapping[str, Any], *, viewer_id: str, now: datetime
) -> Dataset:
    """Change name and description at any time, the rest while the dataset is PLANNING."""
    dataset = await require_locked(store, id, viewer_id=viewer_id)
    changed = changes(dataset, patch, required=REQUIRED)
    fixed = sorted(changed.keys() - ALWAYS_EDITABLE)
    if fixed and (dataset.status is not RunStatus.PLANNING or await busy(store, dataset)):
        raise Conflict(
            "Only name and description can be changed once work on the dataset has begun.",
            reason="DATASET_NOT_PLANNING",
            field=fixed[0],
        )
    if "generate_prompt" in changed and dataset.generate_prompt is not None:
        await store.datasets.add_revision(id, PromptRevision(dataset.generate_prompt, now))
    dataset = replace(dataset, **changed, updated_at=now).checked()
    await store.datasets.change(id, {name: getattr(dataset, name) for name in (*changed, "updated_at")})
    return dataset


async def busy(store: "Store", dataset: Dataset) -> bool:
    """Whether a job that has not ended works on the dataset."""
    latest = await store.jobs.latest([dataset.id], viewer_id=dataset.owner_id)
    return dataset.id in latest and not latest[dataset.id].is_final


async def require_idle(store: "Store", dataset: Dataset) -> None:
    """Raise `Conflict` while a job works on the dataset."""
    if dataset.status is RunStatus.RUNNING or await busy(store, dataset):
        raise Conflict("A job is working on this dataset.", reason="DATASET_BUSY", field="datasetId")


async def follow(store: "Store", job: Job) -> None:
    """A dataset is what its job makes of it, but one that held items before a failed import is DONE still."""
    dataset = await store.datasets.lock(job.subject_id, viewer_id=job.owner_id)
    if dataset is None:
        return
    status = OF_JOB[job.status]
    failed = job.is_final and job.status is not JobStatus.SUCCESS
    if failed and dataset.file_count:
        status = RunStatus.DONE
    values: dict[str, Any] = {"status": status, "error": job.error if failed else None}
    if job.runner is Runner.LOCAL and job.status is JobStatus.SUCCESS:
        values["origin"] = DatasetOrigin.UPLOADED
    await store.datasets.change(dataset.id, values)


async def delete(store: "Store", id: str, *, viewer_id: str) -> str:
    """Delete a dataset and its files; fine-tunes keep what they were trained on."""
    dataset = await require_locked(store, id, viewer_id=viewer_id)
    await require_idle(store, dataset)
    await store.chores.delete_files([dataset.prefix])
    await store.datasets.delete(id)
    return id
