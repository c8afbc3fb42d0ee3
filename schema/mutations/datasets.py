"""Creating, changing and deleting datasets, and importing into them."""

from typing import Any

import strawberry

from domain.conversations import ItemFormat
from domain.errors import Invalid
from domain.imports import ImportOptions
from resolvers import datasets as resolve
from schema.shared.context import Info
from schema.shared.inputs import given_fields, optional, or_none
from schema.shared.payloads import (
    IDEMPOTENCY_KEY,
    DeleteInput,
    DeletePayload,
    Payload,
    mutation,
    payload_field,
)
from schema.shared.scalars import JSON
from schema.types.datasets import Dataset
from schema.types.import_formats import ImportFormat
from schema.types.jobs import Job


@strawberry.input(description="The dataset to create.")
class CreateDatasetInput:
    project_id: strawberry.ID = strawberry.field(description="Project of the dataset; must be `ACTIVE`.")
    name: str | None = optional(
        "Display name, at most 200 characters; the project's name when absent or null."
    )
    description: str | None = optional(
        "Free-text description, at most 65,536 characters; none when absent or null."
    )
    corpus_name: str | None = optional(
        "Name of the corpus that the items are based on, at most 200 characters; "
        "for information. None when absent or null."
    )
    item_format: ItemFormat = strawberry.field(
        default=ItemFormat.PROMPT_COMPLETION,
        description="What the items are. `PROMPT_COMPLETION` needs `inputField`, `outputField` and `fieldNames`; the "
        "fields of the other formats are fixed, and the three are left out.",
    )
    system_prompt: str | None = optional(
        "System prompt that stands before every conversation in training that has none of its own, at most 65,536 "
        "characters; none when absent or null."
    )
    input_field: str | None = optional(
        "Name of the field that is the prompt (user message) in training; one of `fieldNames`."
    )
    output_field: str | None = optional(
        "Name of the field that the model is trained to answer "
        "(assistant message); another one of `fieldNames`."
    )
    field_names: list[str] | None = optional(
        "Names of the fields of every item, in order: 2 to 50 different names of at most 100 characters."
    )
    language_iso: str = strawberry.field(
        default="eng", description="Language of the items as an ISO 639-3 code of three lower-case letters."
    )
    generate_prompt: str | None = optional(
        "Prompt from which items are generated, at most 65,536 characters; not "
        "needed for an import. None when absent or null."
    )
    json_object_fields: JSON | None = optional(
        "Descriptions of the fields, an object from field name to text; at most 50. None when absent or null."
    )
    expected_output_size_chars: int | None = optional(
        "Expected length of what is learned of an item in characters (`Dataset.expectedOutputSizeChars`), 1 to "
        "10,000,000; longer than 4 times or shorter than a quarter of it makes an item invalid. Absent or null: no check."
    )
    generate_examples_number: int | None = optional(
        "Number of items to generate, 1 to 10,000,000, for the external worker "
        "that generates them; none when absent or null."
    )
    generate_model: str | None = optional(
        "Name of the model for the generation, at most 200 characters, for "
        "the external worker; none when absent or null."
    )
    idempotency_key: str | None = optional(IDEMPOTENCY_KEY)


@strawberry.input(description="Changes to a dataset; absent fields keep their value.")
class UpdateDatasetInput:
    id: strawberry.ID = strawberry.field(description="TypeID of the dataset.")
    name: str | None = optional("New display name, at most 200 characters.")
    description: str | None = optional(
        "New free-text description, at most 65,536 characters; null removes it."
    )
    corpus_name: str | None = optional("New name of the corpus, at most 200 characters; null removes it.")
    input_field: str | None = optional(
        "New input field; one of `fieldNames`. Items of other formats than `PROMPT_COMPLETION` have fixed fields."
    )
    output_field: str | None = optional("New output field; one of `fieldNames`, other than the input field.")
    field_names: list[str] | None = optional(
        "New names of the fields, in order: 2 to 50 different names of at most 100 characters."
    )
    language_iso: str | None = optional("New language as an ISO 639-3 code of three lower-case letters.")
    generate_prompt: str | None = optional(
        "New generation prompt, at most 65,536 characters; the old one "
        "is kept in `promptHistory`. Null removes it."
    )
    json_object_fields: JSON | None = optional(
        "New descriptions of the fields, an object from field name to text, at most 50; null removes them."
    )
    expected_output_size_chars: int | None = optional(
        "New expected length of what is learned of an item in characters, 1 to 10,000,000; null removes the check."
    )
    generate_examples_number: int | None = optional(
        "New number of items to generate, 1 to 10,000,000; null removes it."
    )
    generate_model: str | None = optional(
        "New name of the model for the generation, at most 200 characters; null removes it."
    )
    system_prompt: str | None = optional(
        "New system prompt of the training, at most 65,536 characters; null removes it."
    )


@strawberry.input(description="A document whose rows are to be imported as items of a dataset.")
class ImportDatasetInput:
    dataset_id: strawberry.ID = strawberry.field(description="Dataset that the items are added to.")
    document_id: strawberry.ID = strawberry.field(
        description="Document of kind `DATASET_UPLOAD` in the same project; "
        "while it is `PROCESSING`, the import waits."
    )
    format: ImportFormat | None = optional(
        "File format; when absent or null, `Document.importFormat`, or where `columns` are named a plain table: `CSV`, "
        "`JSONL` or `JSON`, as the content is. A file whose items are not of the dataset's `itemFormat` is refused with "
        "the reason `ITEM_FORMAT_MISMATCH`."
    )
    encoding: str | None = optional(
        "Encoding to read the file in, such as `windows-1252`; when absent or null, `Document.encoding`. "
        "Required where that is in doubt and the dataset's language does not decide: else the import is refused "
        "with the reason `ENCODING_DOUBTFUL`, and `context.readings` has `Document.encodingReadings`."
    )
    columns: JSON | None = optional(
        "Headers of the columns that fields are imported from, an object from field name to header. A field that "
        "is not in it is imported from the column of its own name, which may differ in case. Where it is given, the file "
        "is read as a plain table."
    )
    idempotency_key: str | None = optional(IDEMPOTENCY_KEY)


def _domain_values(input: Any, *without: str) -> dict[str, Any]:
    """The given fields of an input, with the values that the domain stores."""
    values = given_fields(input, *without)
    if (names := values.get("field_names")) is not None:
        values["field_names"] = tuple(names)
    return values


def import_options(format: ImportFormat | None, encoding: str | None, columns: Any) -> ImportOptions:
    """The options of an import; raises `Invalid` when `columns` is no object."""
    if columns is not None and not isinstance(columns, dict):
        message = "`columns` is an object from field name to header."
        raise Invalid(message, reason="INVALID_COLUMNS", field="columns")
    return ImportOptions(format=format, encoding=encoding, columns=columns or {})


@strawberry.type(description="Result of `createDataset`.")
class CreateDatasetPayload(Payload):
    dataset: Dataset | None = payload_field("The new dataset, `PLANNING` at first.")


@strawberry.type(description="Result of `updateDataset`.")
class UpdateDatasetPayload(Payload):
    dataset: Dataset | None = payload_field("The dataset after the change.")


@strawberry.type(description="Result of `importDataset`.")
class DatasetJobPayload(Payload):
    dataset: Dataset | None = payload_field("The dataset that the items are added to.")
    job: Job | None = payload_field("The import job, which `jobEvents` follows.")


@strawberry.type
class DatasetMutations:
    @mutation
    async def create_dataset(self, info: Info, input: CreateDatasetInput) -> CreateDatasetPayload:
        """Creates a dataset without items, as the next version in its project."""
        values = _domain_values(input, "project_id", "idempotency_key")
        created = await resolve.create(info.context, input.project_id, values, or_none(input.idempotency_key))
        return CreateDatasetPayload(dataset=Dataset.from_domain(created))

    @mutation
    async def update_dataset(self, info: Info, input: UpdateDatasetInput) -> UpdateDatasetPayload:
        """Changes a dataset: name and description at any time, other fields only while it is `PLANNING` and no job works on it."""
        changed = await resolve.update(info.context, input.id, _domain_values(input, "id"))
        return UpdateDatasetPayload(dataset=Dataset.from_domain(changed))

    @mutation
    async def import_dataset(self, info: Info, input: ImportDatasetInput) -> DatasetJobPayload:
        """Starts a job that imports the rows of a document as items; importing a document again in the same way adds no row twice; in another encoding or format, or with other columns, its rows are new items."""
        dataset, job = await resolve.import_document(
            info.context,
            input.dataset_id,
            input.document_id,
            import_options(or_none(input.format), or_none(input.encoding), or_none(input.columns)),
            or_none(input.idempotency_key),
        )
        return DatasetJobPayload(dataset=Dataset.from_domain(dataset), job=Job.from_domain(job))

    @mutation
    async def delete_dataset(self, info: Info, input: DeleteInput) -> DeletePayload:
        """Deletes a dataset with its files and items; items that a fine-tune was trained on are kept. Refused while a job works on it."""
        return DeletePayload(deleted_id=strawberry.ID(await resolve.delete(info.context, input.id)))
