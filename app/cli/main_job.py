"""`luthier tune`: the main job over the public API, told step by step."""

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
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from app.cli.api_client import ApiError, Client
from app.failures import Failure
from app.local.home import write_private

MEDIA_TYPES = {".jsonl": "application/jsonl", ".ndjson": "application/jsonl", ".json": "application/json"}
ACCOUNT = "account.json"
EMAIL = "owner@luthier.local"


class StepFailed(Failure):
    """A step of the main job did not succeed; the message names it and says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be tuned on what."""

    file: Path
    input: str | None = None
    output: str | None = None
    base: str = "luthier/tiny"
    name: str | None = None
    epochs: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model that answers."""

    base_url: str
    model: str
    key: str
    question: str


class Story:
    """Says what is being done; each step ends with its time."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step; raises StepFailed when anything in it goes wrong."""
        started = time.perf_counter()
        try:
            yield
        except (ApiError, OSError, openai.OpenAIError, ValueError) as error:
            raise StepFailed(f"{title} failed: {error}") from error
        self.console.print(f"[green]✓[/] {title} [dim]{time.perf_counter() - started:.1f} s[/]")


def sign_in(client: Client, home: Path) -> None:
    """Sign in with the home's own account, which is made on first use and kept in the home."""
    file = home / ACCOUNT
    if not file.exists():
        given = {"email": EMAIL, "password": secrets.token_urlsafe(18)}
        payload = client.mutate("register", "accessToken", **given, name="Owner")
        write_private(file, json.dumps(given))
    else:
        payload = client.mutate("login", "accessToken", **json.loads(file.read_text()))
    client.sign_in(payload["accessToken"])


def tune(client: Client, order: Order, story: Story) -> Served:
    """From a table to a model that answers."""
    name = order.name or order.file.stem
    with story.step(f"Project '{name}'"):
        _check_base(client, order.base)
        project_id = client.mutate("createProject", "project { id }", name=name)["project"]["id"]
    with _deleted_if_useless(client, project_id):
        with story.step(f"Upload of {order.file.name}"):
            document_id = client.upload(
                project_id, order.file, MEDIA_TYPES.get(order.file.suffix.lower(), "text/csv")
            )
            table = _table(client, document_id)
        with story.step("Dataset"):
            fields = _fields(table["headers"], order)
            dataset_id, result = _dataset(client, project_id, document_id, table["headers"], fields)
    _tell_rows(client, dataset_id, result, story.console)
    finetune = _train(client, project_id, dataset_id, order, story)
    question = dict(zip(table["headers"], table["rows"][0], strict=True))[fields[0]]
    with story.step("Deployment"):
        return _deploy(client, project_id, finetune, question)


@contextmanager
def _deleted_if_useless(client: Client, project_id: str) -> Iterator[None]:
    """A project whose table cannot be used is of no use to anybody."""
    try:
        yield
    except (StepFailed, KeyboardInterrupt):
        with suppress(ApiError):
            client.mutate("deleteProject", "deletedId", id=project_id)
        raise


def _check_base(client: Client, name: str) -> None:
    """Raise ValueError with the names that there are when the base model is none of them."""
    found = client.query("{ baseModels(first: 100) { nodes { modelId } } }")["baseModels"]["nodes"]
    names = [it["modelId"] for it in found]
    if name not in names:
        raise ValueError(f"there is no base model '{name}'; there are {', '.join(names)}.")


def _table(client: Client, document_id: str) -> dict[str, Any]:
    """The headers and first rows of the uploaded table, once it is read."""
    wanted = "query($id: ID!) { document(id: $id) { preview { headers rows } job { id } } }"
    client.wait(client.query(wanted, id=document_id)["document"]["job"]["id"])
    preview = client.query(wanted, id=document_id)["document"]["preview"]
    if preview is None:
        raise ValueError("this is neither CSV nor JSON Lines.")
    return dict(preview)


INVALID = """
query($id: ID!) {
  dataset(id: $id) { items(filter: {isValid: false, active: true}, first: 3) { nodes { values problems { message } } } }
}
"""


def _tell_rows(client: Client, dataset_id: str, result: dict[str, Any], console: Console) -> None:
    """How many rows can be learned from, and what is wrong with the first others."""
    console.print(f"  {result['valid']} of {result['rows']} rows are valid")
    if result["valid"] == result["rows"]:
        return
    for item in client.query(INVALID, id=dataset_id)["dataset"]["items"]["nodes"]:
        why = " ".join(it["message"] for it in item["problems"])
        row = escape(", ".join(item["values"])[:60])
        console.print(f"  [yellow]left out:[/] {row}: {escape(why)}", highlight=False)


def _dataset(
    client: Client, project_id: str, document_id: str, headers: list[str], fields: tuple[str, str]
) -> tuple[str, dict[str, Any]]:
    input_field, output_field = fields
    made = client.mutate(
        "createDataset",
        "dataset { id }",
        projectId=project_id,
        inputField=input_field,
        outputField=output_field,
        fieldNames=headers,
    )
    dataset_id = made["dataset"]["id"]
    begun = client.mutate("importDataset", "job { id }", datasetId=dataset_id, documentId=document_id)
    return dataset_id, client.wait(begun["job"]["id"])["result"]


def _fields(headers: list[str], order: Order) -> tuple[str, str]:
    """Which column is asked and which is learned; of two columns it is the first and the second."""
    columns = ", ".join(headers)
    if order.input is None and order.output is None and len(headers) == 2:
        return headers[0], headers[1]
    if order.input is None or order.output is None:
        raise ValueError(f"say --input and --output; the columns are {columns}.")
    return _column(headers, order.input), _column(headers, order.output)


def _column(headers: list[str], name: str) -> str:
    """The column of that name, whatever its case where only one fits; raises ValueError."""
    fitting = [it for it in headers if it == name] or [it for it in headers if it.lower() == name.lower()]
    if len(fitting) != 1:
        raise ValueError(f"there is no column '{name}'; the columns are {', '.join(headers)}.")
    return fitting[0]


def _train(client: Client, project_id: str, dataset_id: str, order: Order, story: Story) -> dict[str, Any]:
    with story.step(f"Training of {order.base}, GGUF"):
        chosen = {} if order.epochs is None else {"hyperparameters": {"numEpochs": order.epochs}}
        made = client.mutate(
            "createFinetune",
            "finetune { id }",
            projectId=project_id,
            baseModelName=order.base,
            trainingDatasetId=dataset_id,
            **chosen,
        )
        finetune_id = made["finetune"]["id"]
        with _cancelled_if_left(client, finetune_id):
            path = f"/api/projects/{project_id}/finetunes/{finetune_id}/logs/stream"
            _show_training(client, path, story.console)
        finetune: dict[str, Any] = client.query(FINETUNE, id=finetune_id)["finetune"]
    _tell_parity(finetune, story.console)
    return finetune


@contextmanager
def _cancelled_if_left(client: Client, finetune_id: str) -> Iterator[None]:
    """Nobody waits for a training that was interrupted here: it must not go on at the next start."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(ApiError):
            client.mutate("cancelFinetune", "finetune { id }", id=finetune_id)
        raise


FINETUNE = """
query($id: ID!) {
  finetune(id: $id) {
    id modelName trainedItemCount trainingTimeSeconds metrics { trainLoss }
    parity { passed promptsCompared templateMatches tokenIdsMatch outputsMatching detail }
  }
}
"""


def _tell_parity(finetune: dict[str, Any], console: Console) -> None:
    """Whether the GGUF answers as the trained model did; loud when it does not."""
    parity = finetune["parity"]
    if parity is None:
        return
    if not (parity["templateMatches"] and parity["tokenIdsMatch"]):
        raise StepFailed(
            f"Parity failed: the GGUF reads its prompts differently from the trained model. {parity['detail']}"
        )
    said = f"the GGUF gives {parity['outputsMatching']} of {parity['promptsCompared']} answers to the letter"
    if parity["passed"]:
        console.print(f"  parity passed: {said}")
    else:
        console.print(
            f"  [bold red]Parity failed:[/] {said}. A model that is not sure of its answers is tipped by the "
            f"rounding to 8 bits: train it longer (--epochs). This is {finetune['id']}.",
            soft_wrap=True,
        )


def _show_training(client: Client, path: str, console: Console) -> None:
    """A bar that the event stream feeds; raises ApiError when the training does not end well."""
    columns = (
        BarColumn(bar_width=32),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.description}"),
        TextColumn("[dim]{task.fields[loss]}[/]"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("waiting for the worker", total=100, loss="")
        for name, data in client.follow(path):
            if name == "error":
                raise ApiError(data["error"])
            _draw(bar, task, name, data)


def _draw(bar: Progress, task: TaskID, name: str, data: dict[str, Any]) -> None:
    if name == "progress":
        bar.update(task, completed=data["progress_pct"], description=data["message"] or "")
    elif name == "log" and data.get("train_loss") is not None:
        bar.update(task, loss=f"loss {data['train_loss']:.3f}")


def _deploy(client: Client, project_id: str, finetune: dict[str, Any], question: str) -> Served:
    made = client.mutate(
        "createDeployment",
        "apiKey job { id } deployment { id baseUrl modelName }",
        projectId=project_id,
        finetuneId=finetune["id"],
    )
    client.wait(made["job"]["id"])
    return Served(
        base_url=made["deployment"]["baseUrl"],
        model=made["deployment"]["modelName"],
        key=made["apiKey"],
        question=question,
    )
