"""The steps of `luthier tune`, over the public API: from a file to a deployed model."""

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
from app.cli.example_requests import example_request
from app.cli.row_counts import print_row_counts
from app.cli.table_steps import (
    TuneOptions,
    dataset_plan,
    import_document,
    media_type_of,
    read_document,
)
from app.cli.training_output import follow_training, parity_failure, print_outcome
from app.failures import Failure
from app.local.home import write_private

ACCOUNT = "account.json"
EMAIL = "owner@luthier.local"
FEW_ITEMS = 320
"""Up to so many items, each batch is an optimizer step: with the default of four batches to a step, three epochs of 320
items are 60 steps, and of 25 items 6, which teach a model next to nothing."""


class StepFailed(Failure):
    """A step failed; the message has its title and the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A deployed fine-tune: where it answers, and what an item of its dataset asks, as the members of a request."""

    finetune_id: str
    base_url: str
    model: str
    key: str
    example: dict[str, Any]


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
        _add_base(client, options.base)
        project_id = client.mutate("createProject", "project { id }", name=name)["project"]["id"]
    with _delete_project_on_failure(client, project_id):
        with steps.step(f"Upload of {options.file.name}"):
            document_id = client.upload(project_id, options.file, media_type_of(options))
            document = read_document(client, document_id)
        with steps.step("Dataset"):
            plan = dataset_plan(document, options)
            dataset_id, result = import_document(client, project_id, document_id, plan, options)
    print_row_counts(client, dataset_id, result, steps.console)
    finetune = _train(client, project_id, dataset_id, plan.item_format, result["valid"], options, steps)
    example = example_request(client, dataset_id, plan.item_format)
    with steps.step("Deployment"):
        return _deploy(client, project_id, finetune, example)


@contextmanager
def _delete_project_on_failure(client: Client, project_id: str) -> Iterator[None]:
    """Delete the project when its table cannot be used, or when a signal stops the command."""
    try:
        yield
    except (StepFailed, KeyboardInterrupt):
        with suppress(ApiError):
            client.mutate("deleteProject", "deletedId", id=project_id)
        raise


def _add_base(client: Client, name: str) -> None:
    """Have the base model among those of the server; one that is not is asked for at the hub.

    Raises ValueError with the reason why it cannot be had.
    """
    models = client.query("{ baseModels(first: 100) { nodes { modelId } } }")["baseModels"]["nodes"]
    if any(model["modelId"] == name for model in models):
        return
    try:
        client.mutate("resolveModel", "baseModel { id }", modelId=name)
    except ApiError as error:
        raise ValueError(
            f"there is no base model '{name}' yet, and it cannot be added from the hub: {error} "
            "`luthier models --all` lists those that there are."
        ) from error


def _train(
    client: Client,
    project_id: str,
    dataset_id: str,
    item_format: str,
    item_count: int,
    options: TuneOptions,
    steps: StepPrinter,
) -> dict[str, Any]:
    objective = {"objective": "DPO"} if item_format == "PREFERENCE" else {}
    with steps.step(f"Training of {options.base}, GGUF"):
        created = client.mutate(
            "createFinetune",
            "finetune { id }",
            projectId=project_id,
            baseModelName=options.base,
            trainingDatasetId=dataset_id,
            **objective,
            hyperparameters=_hyperparameters(options, item_count),
        )
        finetune_id = created["finetune"]["id"]
        finetune = follow_training(client, project_id, finetune_id, steps.console)
    print_outcome(finetune, steps.console)
    _require_parity(finetune, steps.console, deploy_anyway=options.deploy_anyway)
    return finetune


def _hyperparameters(options: TuneOptions, item_count: int) -> dict[str, Any]:
    """Those that `createFinetune` is given; all others are the base model's."""
    few_items = {"gradientAccumulationSteps": 1} if item_count <= FEW_ITEMS else {}
    named = {"numEpochs": options.epochs, "learningRate": options.learning_rate}
    given = {name: value for name, value in named.items() if value is not None}
    return {**few_items, **options.hyperparameters, **given}


def _require_parity(finetune: dict[str, Any], console: Console, *, deploy_anyway: bool) -> None:
    """Raise `StepFailed` when the GGUF failed parity; with `deploy_anyway` print that it did."""
    failure = parity_failure(finetune["parity"])
    if failure is None:
        return
    if not deploy_anyway:
        raise StepFailed(
            f"Parity failed: {failure} Nothing was deployed; this is {finetune['id']}. "
            "To deploy the model nevertheless, call `createDeployment` with that id, or train anew with --deploy-anyway."
        )
    console.print("  [bold red]Parity failed:[/]", escape(failure), soft_wrap=True)


def _deploy(
    client: Client, project_id: str, finetune: dict[str, Any], example: dict[str, Any]
) -> ServedModel:
    created = client.mutate(
        "createDeployment",
        "apiKey job { id } deployment { id baseUrl modelName }",
        projectId=project_id,
        finetuneId=finetune["id"],
    )
    client.wait(created["job"]["id"])
    return ServedModel(
        finetune_id=finetune["id"],
        base_url=created["deployment"]["baseUrl"],
        model=created["deployment"]["modelName"],
        key=created["apiKey"],
        example=example,
    )
