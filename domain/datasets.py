"""Training datasets: records and rules."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from domain.errors import Invalid
from domain.jobs import JobStatus
from domain.reading import Locks, Reads
from domain.rules import NAME_LIMIT, TEXT_LIMIT, bounded, named, within
from domain.storage_keys import dataset_prefix


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
        return dataset_prefix(self.owner_id, self.id)


@dataclass(frozen=True, slots=True)
class PromptRevision:
    """An earlier prompt of a dataset."""

    prompt: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFilter:
    """Which datasets a list shows."""

    status: RunStatus | None = None


class DatasetReads(Reads[Dataset], Protocol):
    """The datasets, as they can be read."""

    async def revisions(self, ids: list[str], first: int) -> dict[str, list[PromptRevision]]:
        """The newest revisions of each dataset, newest first."""
        ...

    async def owner_of(self, id: str) -> str | None:
        """Whose it is, for those who come without a viewer."""
        ...

    async def referred(self, ids: list[str], *, viewer_id: str) -> dict[str, Dataset]:
        """Datasets by id, also the deleted ones: for what still refers to them."""
        ...


class Datasets(DatasetReads, Locks[Dataset], Protocol):
    """The datasets that are kept."""

    async def add(self, dataset: Dataset) -> None: ...
    async def change(self, id: str, values: Mapping[str, Any]) -> None: ...
    async def add_revision(self, id: str, revision: PromptRevision) -> None: ...
    async def link(self, id: str, document_id: str, size_bytes: int) -> bool:
        """Remember that a dataset was imported from a document, and count it once; False when it was before."""
        ...

    async def delete(self, id: str) -> None:
        """Mark DELETED; only the items that a fine-tune was trained on are kept."""
        ...


ALWAYS_EDITABLE = frozenset({"name", "description"})
REQUIRED = frozenset({"name", "input_field", "output_field", "field_names", "language_iso"})


MAX_FIELDS = 50


def check_fields(names: tuple[str, ...], input_field: str, output_field: str) -> None:
    """Raise `Invalid` unless the names differ and hold both the input and the output, two different ones."""
    if not 2 <= len(names) <= MAX_FIELDS:
        raise Invalid(
            f"A dataset needs from 2 to {MAX_FIELDS} fields.", reason="INVALID_FIELDS", field="fieldNames"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Invalid(f"The field '{twice[0]}' is named twice.", reason="DUPLICATE_FIELD", field="fieldNames")
    for field, name in (("inputField", input_field), ("outputField", output_field)):
        if name not in names:
            raise Invalid(
                f"`{field}` is '{name}', which is not one of the field names {', '.join(names)}.",
                reason="UNKNOWN_FIELD",
                field=field,
            )
    if input_field == output_field:
        raise Invalid("Input and output must be two fields.", reason="INVALID_FIELDS", field="outputField")


def check_descriptions(fields: Any) -> None:
    """Raise `Invalid` unless `fields` is None, or says of each field in words what it holds."""
    if fields is None:
        return
    if not isinstance(fields, dict) or not all(isinstance(it, str) for it in fields.values()):
        raise Invalid(
            "`jsonObjectFields` is an object: a text for each field name.",
            reason="INVALID_JSON_FIELDS",
            field="jsonObjectFields",
        )
    if len(fields) > MAX_FIELDS:
        raise Invalid(
            f"`jsonObjectFields` may have at most {MAX_FIELDS} fields.",
            reason="INVALID_JSON_FIELDS",
            field="jsonObjectFields",
        )
    for name, description in fields.items():
        bounded(named(name, "jsonObjectFields"), "jsonObjectFields")
        bounded(description, "jsonObjectFields")


def check_language(code: str) -> None:
    """Raise `Invalid` unless a language is named as ISO 639-3 does."""
    if not (len(code) == 3 and code.isascii() and code.isalpha() and code.islower()):
        raise Invalid(
            "`languageIso` is a code of three lower-case letters, such as eng or deu.",
            reason="INVALID_LANGUAGE",
            field="languageIso",
        )
