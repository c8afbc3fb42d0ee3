"""Training datasets: records and rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from domain.conversations import (
    CONVERSATION_FIELDS,
    PREFERENCE_FIELDS,
    Conversation,
    ItemFormat,
    Preference,
    conversation_of,
    preference_of,
)
from domain.errors import Invalid
from domain.jobs import JobStatus
from domain.patches import camel_case
from domain.reading import LockingReads, Reads
from domain.rules import NAME_LIMIT, TEXT_LIMIT, check_range, validated_name, validated_text
from domain.storage_keys import dataset_prefix


class DatasetOrigin(StrEnum):
    """Where the items come from."""

    GENERATED = "GENERATED"
    UPLOADED = "UPLOADED"


class RunStatus(StrEnum):
    """Status of a run: PLANNING until its job starts, then derived from the job's status."""

    PLANNING = "PLANNING"
    RUNNING = "RUNNING"
    ABORTED = "ABORTED"
    FAILED = "FAILED"
    DONE = "DONE"
    DELETED = "DELETED"


UNFINISHED = frozenset({RunStatus.PLANNING, RunStatus.RUNNING})
"""The statuses of a run whose job has not ended."""
RUN_STATUS_OF_JOB = {
    JobStatus.QUEUED: RunStatus.PLANNING,
    JobStatus.RUNNING: RunStatus.RUNNING,
    JobStatus.SUCCESS: RunStatus.DONE,
    JobStatus.FAILED: RunStatus.FAILED,
    JobStatus.CANCELLED: RunStatus.ABORTED,
}
"""The status of a dataset or a fine-tune by the status of the job that works on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A training dataset. `train_share` and `seed` decide the split and never change."""

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
    item_format: ItemFormat = ItemFormat.PROMPT_COMPLETION
    system_prompt: str | None = None
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

    def validated(self) -> "Dataset":
        """The dataset with its texts trimmed; raises `Invalid` when a value breaks a rule."""
        fields = tuple(validated_name(name, "fieldNames", limit=100) for name in self.field_names)
        if self.item_format is ItemFormat.PROMPT_COMPLETION:
            check_fields(fields, self.input_field.strip(), self.output_field.strip())
        else:
            _check_fixed_fields(self.item_format, {name: getattr(self, name) for name in FIELD_ATTRIBUTES})
        check_language(self.language_iso)
        self._check_values()
        check_descriptions(self.json_object_fields)
        return replace(
            self,
            name=validated_name(self.name, "name"),
            field_names=fields,
            input_field=self.input_field.strip(),
            output_field=self.output_field.strip(),
        )

    def _check_values(self) -> None:
        for text, field, limit in (
            (self.description, "description", TEXT_LIMIT),
            (self.generate_prompt, "generatePrompt", TEXT_LIMIT),
            (self.system_prompt, "systemPrompt", TEXT_LIMIT),
            (self.corpus_name, "corpusName", NAME_LIMIT),
            (self.generate_model, "generateModel", NAME_LIMIT),
        ):
            if text is not None:
                validated_text(text, field, limit=limit)
        if self.expected_output_size_chars is not None:
            check_range(self.expected_output_size_chars, "expectedOutputSizeChars", 1, 10_000_000)
        if self.generate_examples_number is not None:
            check_range(self.generate_examples_number, "generateExamplesNumber", 1, 10_000_000)

    def conversation_of(self, values: Sequence[str]) -> Conversation | None:
        """What is learned of an item's values, without the dataset's system prompt; None for a preference pair.

        Raises `ValueError` for values that are not JSON of a conversation where the format needs it.
        """
        named = dict(zip(self.field_names, values, strict=True))
        if self.item_format is ItemFormat.PREFERENCE:
            return None
        if self.item_format is ItemFormat.CONVERSATION:
            return conversation_of(named)
        asked = {"role": "user", "content": named[self.input_field]}
        return Conversation(messages=(asked, {"role": "assistant", "content": named[self.output_field]}))

    def preference_of(self, values: Sequence[str]) -> Preference | None:
        """The preference pair of an item's values; None where the items are of another format.

        Raises `ValueError` for values that are not JSON of a pair.
        """
        if self.item_format is not ItemFormat.PREFERENCE:
            return None
        return preference_of(dict(zip(self.field_names, values, strict=True)))

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
    """Conditions that listed datasets fulfill."""

    status: RunStatus | None = None


class DatasetReads(Reads[Dataset], Protocol):
    """Reads datasets."""

    async def revisions(self, ids: list[str], first: int) -> dict[str, list[PromptRevision]]:
        """The newest revisions of each dataset, newest first."""
        ...

    async def owner_of(self, id: str) -> str | None:
        """The owner's id, for callers that have no viewer; None when there is no such dataset."""
        ...

    async def including_deleted(self, ids: list[str], *, viewer_id: str) -> dict[str, Dataset]:
        """Datasets by id, deleted ones too: items and fine-tunes still refer to them."""
        ...


class Datasets(DatasetReads, LockingReads[Dataset], Protocol):
    """Reads and writes datasets."""

    async def add(self, dataset: Dataset) -> None: ...
    async def change(self, id: str, values: Mapping[str, Any]) -> None: ...
    async def add_revision(self, id: str, revision: PromptRevision) -> None: ...
    async def link(self, id: str, document_id: str, size_bytes: int) -> bool:
        """Record that a dataset was imported from a document, and add its size; False when it was recorded before."""
        ...

    async def delete(self, id: str) -> None:
        """Mark a dataset DELETED, and delete its items but those that a fine-tune was trained on."""
        ...


ALWAYS_EDITABLE = frozenset({"name", "description"})
"""Attributes that can be changed after work on a dataset has started."""
REQUIRED = frozenset({"name", "input_field", "output_field", "field_names", "language_iso"})
"""Attributes that an update cannot clear."""

MAX_FIELDS = 50
FIELD_ATTRIBUTES = ("input_field", "output_field", "field_names")
FIXED_FIELDS: Mapping[ItemFormat, Mapping[str, Any]] = {
    ItemFormat.CONVERSATION: {
        "input_field": "messages",
        "output_field": "messages",
        "field_names": CONVERSATION_FIELDS,
    },
    ItemFormat.PREFERENCE: {
        "input_field": "input",
        "output_field": "preferred_output",
        "field_names": PREFERENCE_FIELDS,
    },
}
"""The fields of the formats in which items are JSON."""


def fields_of_format(item_format: ItemFormat, given: Mapping[str, Any]) -> dict[str, Any]:
    """The field names, the input and the output field of a new dataset; `given` has those that are not None.

    Raises `Invalid` where a PROMPT_COMPLETION dataset lacks one, or another one is given others than its format has.
    """
    if item_format is ItemFormat.PROMPT_COMPLETION:
        for name in FIELD_ATTRIBUTES:
            if name not in given:
                field = camel_case(name)
                message = f"`{field}` is needed for items of the format PROMPT_COMPLETION."
                raise Invalid(message, reason="REQUIRED", field=field)
        return dict(given)
    _check_fixed_fields(item_format, given)
    return dict(FIXED_FIELDS[item_format])


def _check_fixed_fields(item_format: ItemFormat, given: Mapping[str, Any]) -> None:
    fixed = FIXED_FIELDS[item_format]
    for name, value in given.items():
        if value != fixed[name]:
            names = ", ".join(fixed["field_names"])
            raise Invalid(
                f"Items of the format {item_format} always have the fields {names}: `inputField` is "
                f"{fixed['input_field']} and `outputField` {fixed['output_field']}. Leave the three out.",
                reason="FIXED_FIELDS",
                field=camel_case(name),
            )


def check_fields(names: tuple[str, ...], input_field: str, output_field: str) -> None:
    """Raise `Invalid` unless the names are unique and include the input and the output field, which differ."""
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
    """Raise `Invalid` unless `fields` is None or a dict of a description for each field name."""
    if fields is None:
        return
    if not isinstance(fields, dict) or not all(
        isinstance(description, str) for description in fields.values()
    ):
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
        validated_text(validated_name(name, "jsonObjectFields"), "jsonObjectFields")
        validated_text(description, "jsonObjectFields")


def check_language(code: str) -> None:
    """Raise `Invalid` unless a code has the form of ISO 639-3: three lower-case letters."""
    if not (len(code) == 3 and code.isascii() and code.isalpha() and code.islower()):
        raise Invalid(
            "`languageIso` is a code of three lower-case letters, such as eng or deu.",
            reason="INVALID_LANGUAGE",
            field="languageIso",
        )
