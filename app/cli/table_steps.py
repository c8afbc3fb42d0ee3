"""The first steps of `luthier tune`: the table is uploaded and read, and two of its columns become a dataset."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from app.cli.api_client import Client

MEDIA_TYPES = {".jsonl": "application/jsonl", ".ndjson": "application/jsonl", ".json": "application/json"}
MAX_FIELD_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """The table, its columns of prompts and of answers, its encoding, the base model, the project's name, the epochs.

    With `deploy_anyway` a model is deployed whose GGUF failed parity.
    """

    file: Path
    input: str | None = None
    output: str | None = None
    encoding: str | None = None
    base: str = "luthier/tiny"
    name: str | None = None
    epochs: float | None = None
    deploy_anyway: bool = False


def media_type_of(options: TuneOptions) -> str:
    """The media type of the file, with its encoding where one is named."""
    media_type = MEDIA_TYPES.get(options.file.suffix.lower(), "text/csv")
    return media_type if options.encoding is None else f"{media_type}; charset={options.encoding}"


DOCUMENT = """
query($id: ID!) {
  document(id: $id) { encodingReadings { encoding line } preview { headers rows } job { id } }
}
"""


def read_table(client: Client, document_id: str) -> dict[str, Any]:
    """The headers and the first rows of the table, once a worker has read it.

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
        raise ValueError("this is neither CSV nor JSON Lines.")
    return dict(document["preview"])


PROBLEMS = "query($id: ID!) { dataset(id: $id) { stats { problems { code count } } } }"
INVALID_ITEMS = """
query($id: ID!) {
  dataset(id: $id) { items(filter: {isValid: false, active: true}, first: 3) { nodes { values problems { message } } } }
}
"""


WARNINGS = {
    "CONTRADICTION": "have the input of another row, and another output",
    "NEAR_DUPLICATE": "differ from an earlier one in case or spacing alone",
    "NOT_TEXT": "have an object or a list where text is expected",
}
"""What rows with each kind of warning, which are trained on, have in common."""


def print_row_counts(client: Client, dataset_id: str, result: dict[str, Any], console: Console) -> None:
    """Print how many rows are valid, how many have a warning, and the problems of the first three invalid ones."""
    console.print(f"  {result['valid']} of {result['rows']} rows are valid")
    problems = client.query(PROBLEMS, id=dataset_id)["dataset"]["stats"]["problems"]
    for problem in problems:
        if problem["code"] in WARNINGS:
            console.print(f"  [yellow]warning:[/] rows that {WARNINGS[problem['code']]}: {problem['count']}")
    if result["unguarded"]:
        console.print(
            f"  values from which an apostrophe before a formula was removed: {result['unguarded']}"
        )
    if result["valid"] == result["rows"]:
        return
    for item in client.query(INVALID_ITEMS, id=dataset_id)["dataset"]["items"]["nodes"]:
        problems = " ".join(problem["message"] for problem in item["problems"])
        row = ", ".join(item["values"]).replace("\n", " ")[:60]
        console.print(
            f"  [yellow]invalid:[/] {escape(f'{problems} ({row})')}", highlight=False, soft_wrap=True
        )


def import_table(
    client: Client, project_id: str, document_id: str, columns: tuple[str, str]
) -> tuple[str, dict[str, Any]]:
    """Import the two columns; where a header is too long for a field's name, the fields are `input` and `output`."""
    is_long = any(len(header) > MAX_FIELD_NAME for header in columns)
    names = ["input", "output"] if is_long else list(columns)
    created = client.mutate(
        "createDataset",
        "dataset { id }",
        projectId=project_id,
        inputField=names[0],
        outputField=names[1],
        fieldNames=names,
    )
    dataset_id = created["dataset"]["id"]
    started = client.mutate(
        "importDataset",
        "job { id }",
        datasetId=dataset_id,
        documentId=document_id,
        columns=dict(zip(names, columns, strict=True)),
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


VALID_ITEMS = """
query($id: ID!) { dataset(id: $id) { items(filter: {isValid: true, active: true}, first: 100) { nodes { values } } } }
"""


def shortest_prompt(client: Client, dataset_id: str) -> str:
    """The shortest prompt of the first valid items, which is not one that a model has no room for if any has."""
    items = client.query(VALID_ITEMS, id=dataset_id)["dataset"]["items"]["nodes"]
    return min((str(item["values"][0]) for item in items), key=len, default="")
