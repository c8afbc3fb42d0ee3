"""What the mutations of datasets are given."""

from typing import Any

import strawberry

from domain.imports import ImportFormat
from schema.base import given
from schema.scalars import JSON

strawberry.enum(ImportFormat, description="How an upload is read.")


@strawberry.input(description="A new dataset, the next version of its project.")
class CreateDatasetInput:
    """A new dataset."""

    project_id: strawberry.ID
    name: str | None = strawberry.UNSET
    description: str | None = strawberry.UNSET
    corpus_name: str | None = strawberry.UNSET
    input_field: str
    output_field: str
    field_names: list[str]
    language_iso: str = "eng"
    generate_prompt: str | None = strawberry.UNSET
    json_object_fields: JSON | None = strawberry.UNSET
    expected_output_size_chars: int | None = strawberry.UNSET
    generate_examples_number: int | None = strawberry.UNSET
    generate_model: str | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="What to change; absent fields stay as they are.")
class UpdateDatasetInput:
    """What to change."""

    id: strawberry.ID
    name: str | None = strawberry.UNSET
    description: str | None = strawberry.UNSET
    corpus_name: str | None = strawberry.UNSET
    input_field: str | None = strawberry.UNSET
    output_field: str | None = strawberry.UNSET
    field_names: list[str] | None = strawberry.UNSET
    language_iso: str | None = strawberry.UNSET
    generate_prompt: str | None = strawberry.UNSET
    json_object_fields: JSON | None = strawberry.UNSET
    expected_output_size_chars: int | None = strawberry.UNSET
    generate_examples_number: int | None = strawberry.UNSET
    generate_model: str | None = strawberry.UNSET


@strawberry.input(description="An upload whose rows become items.")
class ImportDatasetInput:
    """An upload whose rows become items."""

    dataset_id: strawberry.ID = strawberry.field(description="The dataset that they are added to.")
    document_id: strawberry.ID = strawberry.field(
        description="A document of the kind DATASET_UPLOAD in the same project; it may still be PROCESSING."
    )
    format: ImportFormat | None = strawberry.field(
        default=strawberry.UNSET, description="As the document's type says where it is absent."
    )
    idempotency_key: str | None = strawberry.UNSET


def values_of(input: Any, *without: str) -> dict[str, Any]:
    """An input's fields as the domain keeps them."""
    values = given(input, *without)
    if (names := values.get("field_names")) is not None:
        values["field_names"] = tuple(names)
    return values
