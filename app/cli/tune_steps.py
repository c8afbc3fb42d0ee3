"""The steps of `luthier tune`, over the public API: from a table to a deployed model."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
from rich.console import Console
from rich.markup import escape

from app.cli.api_client import ApiError, Client
from app.cli.training_output import follow_training, parity_failure, print_outcome
from app.failures import Failure
from app.local.home import write_private

MEDIA_TYPES = {".jsonl": "application/jsonl", ".ndjson": "application/jsonl", ".json": "application/json"}
ACCOUNT = "account.json"
MAX_FIELD_NAME = 100
EMAIL = "owner@luthier.local"


class StepFailed(Failure):
    """A step failed; the message has its title and the reason."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A deployed model: where it answers, and a prompt from its table."""

    base_url: str
    model: str
    key: str
    example_prompt: str


class StepPrinter:
    """Prints each step with its duration in seconds."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Run one step; raises `StepFailed` for an error of the API, the file or the options."""
        started = time.perf_counter()
        try:
            yield
        except (ApiError, OSError, openai.OpenAIError, ValueError) as error:
            raise StepFailed(f"{title} failed: {error}") from error
        self.console.print(f"[green]✓[/] {title} [dim]{time.perf_counter() - started:.1f} s[/]")


def sign_in(client: Client, home: Path) -> None:
    """Sign in with the account of the home, which is registered on first use and stored in `account.json`."""
    file = home / ACCOUNT
    if not file.exists():
        credentials = {"email": EMAIL, "password": secrets.token_urlsafe(18)}
        payload = client.mutate("register", "accessToken", **credentials, name="Owner")
        write_private(file, json.dumps(credentials))
    else:
        payload = client.mutate("login", "accessToken", **json.loads(file.read_text()))
    client.sign_in(payload["accessToken"])


def tune(client: Client, options: TuneOptions, steps: StepPrinter) -> ServedModel:
    """Create a project, a dataset, a fine-tune and a deployment; raises `StepFailed`."""
    name = options.name or options.file.stem
    with steps.step(f"Project '{name}'"):
        _check_base(client, options.base)
        project_id = client.mutate("createProject", "project { id }", name=name)["project"]["id"]
    with _delete_project_on_failure(client, project_id):
        with steps.step(f"Upload of {options.file.name}"):
            document_id = client.upload(project_id, options.file, _media_type(options))
            table = _preview(client, document_id)
        with steps.step("Dataset"):
            columns = _columns(table["headers"], options)
            dataset_id, result = _dataset(client, project_id, document_id, columns)
    _print_row_counts(client, dataset_id, result, steps.console)
    finetune = _train(client, project_id, dataset_id, options, steps)
    prompt = _shortest_prompt(client, dataset_id)
    with steps.step("Deployment"):
        return _deploy(client, project_id, finetune, prompt)


VALID_ITEMS = """
query($id: ID!) { dataset(id: $id) { items(filter: {isValid: true, active: true}, first: 100) { nodes { values } } } }
"""


def _shortest_prompt(client: Client, dataset_id: str) -> str:
    """The shortest prompt of the first valid items, which is not one that a model has no room for if any has."""
    items = client.query(VALID_ITEMS, id=dataset_id)["dataset"]["items"]["nodes"]
    return min((str(item["values"][0]) for item in items), key=len, default="")


@contextmanager
def _delete_project_on_failure(client: Client, project_id: str) -> Iterator[None]:
    """Delete the project when its table cannot be used, or when a signal stops the command."""
    try:
        yield
    except (StepFailed, KeyboardInterrupt):
        with suppress(ApiError):
            client.mutate("deleteProject", "deletedId", id=project_id)
        raise


def _check_base(client: Client, name: str) -> None:
    """Raise ValueError with the names of the base models unless this is one of them."""
    models = client.query("{ baseModels(first: 100) { nodes { modelId } } }")["baseModels"]["nodes"]
    names = [model["modelId"] for model in models]
    if name not in names:
        raise ValueError(f"there is no base model '{name}'; there are {', '.join(names)}.")


def _media_type(options: TuneOptions) -> str:
    """The media type of the file, with its encoding where one is named."""
    media_type = MEDIA_TYPES.get(options.file.suffix.lower(), "text/csv")
    return media_type if options.encoding is None else f"{media_type}; charset={options.encoding}"


DOCUMENT = """
query($id: ID!) {
  document(id: $id) { encodingReadings { encoding line } preview { headers rows } job { id } }
}
"""


def _preview(client: Client, document_id: str) -> dict[str, Any]:
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


def _print_row_counts(client: Client, dataset_id: str, result: dict[str, Any], console: Console) -> None:
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


def _dataset(
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


def _columns(headers: list[str], options: TuneOptions) -> tuple[str, str]:
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


def _train(
    client: Client, project_id: str, dataset_id: str, options: TuneOptions, steps: StepPrinter
) -> dict[str, Any]:
    with steps.step(f"Training of {options.base}, GGUF"):
        hyperparameters = {} if options.epochs is None else {"hyperparameters": {"numEpochs": options.epochs}}
        created = client.mutate(
            "createFinetune",
            "finetune { id }",
            projectId=project_id,
            baseModelName=options.base,
            trainingDatasetId=dataset_id,
            **hyperparameters,
        )
        finetune_id = created["finetune"]["id"]
        finetune = follow_training(client, project_id, finetune_id, steps.console)
    print_outcome(finetune, steps.console)
    _require_parity(finetune, steps.console, deploy_anyway=options.deploy_anyway)
    return finetune


def _require_parity(finetune: dict[str, Any], console: Console, *, deploy_anyway: bool) -> None:
    """Raise `StepFailed` when the GGUF failed parity; with `deploy_anyway` print that it did."""
    failure = parity_failure(finetune["parity"])
    if failure is None:
        return
    if not deploy_anyway:
        raise StepFailed(
            f"Parity failed: {failure} Nothing was deployed; this is {finetune['id']}. "
            "To deploy the model nevertheless, run again with --deploy-anyway."
        )
    console.print("  [bold red]Parity failed:[/]", escape(failure), soft_wrap=True)


def _deploy(client: Client, project_id: str, finetune: dict[str, Any], prompt: str) -> ServedModel:
    created = client.mutate(
        "createDeployment",
        "apiKey job { id } deployment { id baseUrl modelName }",
        projectId=project_id,
        finetuneId=finetune["id"],
    )
    client.wait(created["job"]["id"])
    return ServedModel(
        base_url=created["deployment"]["baseUrl"],
        model=created["deployment"]["modelName"],
        key=created["apiKey"],
        example_prompt=prompt,
    )
