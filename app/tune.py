"""`luthier tune` and `luthier demo`: the main job over the public API, told step by step."""

import csv
import json
import secrets
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from app.client import ApiError, Client
from app.failures import Failure
from app.home import write_private

MEDIA_TYPES = {".jsonl": "application/jsonl", ".ndjson": "application/jsonl"}
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
    project_id: str
    finetune_id: str


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
        project_id = client.mutate("createProject", "project { id }", name=name)["project"]["id"]
    with story.step(f"Upload of {order.file.name}"):
        document_id = client.upload(
            project_id, order.file, MEDIA_TYPES.get(order.file.suffix.lower(), "text/csv")
        )
        headers = _headers(client, document_id)
    with story.step("Dataset"):
        dataset_id, result = _dataset(client, project_id, document_id, headers, order)
    story.console.print(f"  {result['valid']} of {result['rows']} rows are valid")
    finetune = _train(client, project_id, dataset_id, order, story)
    with story.step("Deployment"):
        return _deploy(client, project_id, finetune)


def _headers(client: Client, document_id: str) -> list[str]:
    """The columns of the uploaded table, once it is read."""
    wanted = "query($id: ID!) { document(id: $id) { error preview { headers } job { id } } }"
    client.wait(client.query(wanted, id=document_id)["document"]["job"]["id"])
    return list(client.query(wanted, id=document_id)["document"]["preview"]["headers"])


def _dataset(
    client: Client, project_id: str, document_id: str, headers: list[str], order: Order
) -> tuple[str, dict[str, Any]]:
    input_field, output_field = _fields(headers, order)
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
    for name in (order.input, order.output):
        if name not in headers:
            raise ValueError(f"there is no column '{name}'; the columns are {columns}.")
    return order.input, order.output


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
        _show_training(
            client, f"/api/projects/{project_id}/finetunes/{finetune_id}/logs/stream", story.console
        )
        finetune: dict[str, Any] = client.query(FINETUNE, id=finetune_id)["finetune"]
    _tell_parity(finetune, story.console)
    return finetune


FINETUNE = """
query($id: ID!) {
  finetune(id: $id) {
    id modelName trainedItemCount trainingTimeSeconds metrics { trainLoss }
    parity { passed promptsCompared outputsMatching detail }
  }
}
"""


def _tell_parity(finetune: dict[str, Any], console: Console) -> None:
    """Whether the GGUF answers as the trained model did; loud when it does not."""
    parity = finetune["parity"]
    if parity is None:
        return
    if not parity["passed"]:
        raise StepFailed(
            f"Parity failed: the GGUF does not answer as the trained model did. {parity['detail']}"
        )
    compared, matching = parity["promptsCompared"], parity["outputsMatching"]
    console.print(f"  parity passed: the GGUF gives {matching} of {compared} answers to the letter")


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


def _deploy(client: Client, project_id: str, finetune: dict[str, Any]) -> Served:
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
        project_id=project_id,
        finetune_id=finetune["id"],
    )


def ask(served: Served, question: str, console: Console) -> str:
    """One question through the `openai` package, its answer printed as it comes."""
    console.print(f"  [bold]{question}[/]")
    answer = ""
    with openai.OpenAI(base_url=served.base_url, api_key=served.key) as model:
        stream = model.chat.completions.create(
            model=served.model, messages=[{"role": "user", "content": question}], temperature=0, stream=True
        )
        for chunk in stream:
            word = chunk.choices[0].delta.content or "" if chunk.choices else ""
            answer += word
            console.print(word, end="", markup=False, highlight=False)
    console.print()
    return answer.strip()


def ask_three(served: Served, file: Path, story: Story) -> None:
    """Three questions of the table, spread over it; raises StepFailed when one is answered wrongly."""
    with file.open(newline="", encoding="utf-8") as table:
        rows = list(csv.reader(table))[1:]
    with story.step("Three questions through the openai package"):
        for question, expected in rows[:: max(1, len(rows) // 3)][:3]:
            answer = ask(served, question, story.console)
            if answer != expected:
                raise ValueError(f"'{question}' was answered '{answer}', not '{expected}'.")


def where_next(served: Served, url: str, console: Console) -> None:
    """What to do with the model now."""
    body = json.dumps(
        {"model": served.model, "messages": [{"role": "user", "content": "…"}]}, ensure_ascii=False
    )
    console.print("\n[bold]Your model answers[/]")
    for name, value in (
        ("base URL", served.base_url),
        ("model", served.model),
        ("key", f"{served.key}   (shown this once)"),
        ("GraphQL", f"{url}/graphql"),
    ):
        console.print(f"  {name:<9} {value}", soft_wrap=True, highlight=False, markup=False)
    console.print(
        f"\ncurl {served.base_url}/chat/completions -H 'Authorization: Bearer {served.key}' "
        f"-H 'Content-Type: application/json' -d {shlex.quote(body)}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
