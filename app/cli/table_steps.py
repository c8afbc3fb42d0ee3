"""The first steps of `luthier tune`: the file is uploaded and read, and becomes a dataset of the format of its items."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.cli.api_client import Client

MEDIA_TYPES = {".jsonl": "application/jsonl", ".ndjson": "application/jsonl", ".json": "application/json"}
MAX_FIELD_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """The file, its columns of prompts and of answers, its encoding, the base model, the project's name, the epochs.

    `system` is the system prompt of the dataset, `hyperparameters` are others than the epochs and the learning rate. With
    `deploy_anyway` a model is deployed whose GGUF failed parity.
    """

    file: Path
    input: str | None = None
    output: str | None = None
    encoding: str | None = None
    system: str | None = None
    base: str = "luthier/tiny"
    name: str | None = None
    epochs: float | None = None
    learning_rate: float | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    deploy_anyway: bool = False


def media_type_of(options: TuneOptions) -> str:
    """The media type of the file, with its encoding where one is named."""
    media_type = MEDIA_TYPES.get(options.file.suffix.lower(), "text/csv")
    return media_type if options.encoding is None else f"{media_type}; charset={options.encoding}"


DOCUMENT = """
query($id: ID!) {
  document(id: $id) { encodingReadings { encoding line } importFormat itemFormat preview { headers } job { id } }
}
"""


def read_document(client: Client, document_id: str) -> dict[str, Any]:
    """The fields of `DOCUMENT` of a table, once a worker has read it.

    Raises ValueError when it is none, or with the readings of a line when its encoding is in doubt.
    """
    client.wait(client.query(DOCUMENT, id=document_id)["document"]["job"]["id"])
    document = client.query(DOCUMENT, id=document_id)["document"]
    if document["encodingReadings"]:
        lines = "".join(
            f"\n  {reading['encoding']:12} {reading['line']}" for reading in document["encodingReadings"]
        )
        raise ValueError(
            f"the encoding is in doubt; name the one that reads this line rightly with --encoding.{lines}"
        )
    if document["preview"] is None:
        raise ValueError("this is neither CSV nor JSON.")
    return dict(document)


KINDS = {"CONVERSATION": "conversations", "PREFERENCE": "preference pairs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetPlan:
    """The input of `createDataset` and of `importDataset` that depend on the file, and the format of the items."""

    item_format: str
    dataset: dict[str, Any]
    columns: dict[str, str] | None = None


def dataset_plan(document: dict[str, Any], options: TuneOptions) -> DatasetPlan:
    """How a document becomes a dataset; raises ValueError where the options do not fit it.

    Conversations and preference pairs have fields of their own, Alpaca's format the instruction (with its input) and the
    output. Of any other table two columns are imported; where a header is too long for a field's name, the fields are
    `input` and `output`.
    """
    item_format = document["itemFormat"]
    has_columns = options.input is not None or options.output is not None
    if item_format in KINDS:
        if has_columns:
            raise ValueError(
                f"--input and --output name columns of a table, but the file has {KINDS[item_format]}; leave both out."
            )
        return DatasetPlan(item_format=item_format, dataset={"itemFormat": item_format})
    if document["importFormat"] == "ALPACA" and not has_columns:
        return DatasetPlan(item_format=item_format, dataset=_fields("instruction", "output"))
    columns = columns_of(document["preview"]["headers"], options)
    is_long = any(len(header) > MAX_FIELD_NAME for header in columns)
    names = ("input", "output") if is_long else columns
    mapping = dict(zip(names, columns, strict=True))
    return DatasetPlan(item_format=item_format, dataset=_fields(*names), columns=mapping)


def _fields(asked: str, learned: str) -> dict[str, Any]:
    return {"inputField": asked, "outputField": learned, "fieldNames": [asked, learned]}


def import_document(
    client: Client, project_id: str, document_id: str, plan: DatasetPlan, options: TuneOptions
) -> tuple[str, dict[str, Any]]:
    """Create the dataset and import the document; the dataset's id, and the result of the import."""
    system = {} if options.system is None else {"systemPrompt": options.system}
    created = client.mutate("createDataset", "dataset { id }", projectId=project_id, **plan.dataset, **system)
    dataset_id = created["dataset"]["id"]
    started = client.mutate(
        "importDataset", "job { id }", datasetId=dataset_id, documentId=document_id, columns=plan.columns
    )
    return dataset_id, client.wait(started["job"]["id"])["result"]


def columns_of(headers: list[str], options: TuneOptions) -> tuple[str, str]:
    """The columns of prompts and answers: as the options name them, else the first and second of two; raises ValueError.

    Columns without a name do not count.
    """
    named = [header for header in headers if header]
    if options.input is None and options.output is None and len(named) == 2:
        return named[0], named[1]
    if options.input is None or options.output is None:
        raise ValueError(f"say --input and --output; the columns are {', '.join(named)}.")
    return _column(named, options.input), _column(named, options.output)


def _column(headers: list[str], name: str) -> str:
    """The column with this name, else the only one with it in another case; raises ValueError."""
    exact = [header for header in headers if header == name]
    matches = exact or [header for header in headers if header.lower() == name.lower()]
    if len(matches) > 1:
        raise ValueError(f"there are {len(matches)} columns '{name}'; rename those that are not meant.")
    if not matches:
        raise ValueError(f"there is no column '{name}'; the columns are {', '.join(headers)}.")
    return matches[0]
