"""What `luthier tune` prints of a training: its progress, each warning once, and its outcome."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from app.cli.api_client import ApiError, Client

WARNINGS = "query($id: ID!) { finetune(id: $id) { warnings } }"
FINETUNE = """
query($id: ID!) {
  finetune(id: $id) {
    id warnings trainedItemCount
    history(last: 1) { nodes { rewardMargin rewardAccuracy } }
    parity { passed promptsCompared templateMatches tokenIdsMatch outputsMatching detail }
  }
}
"""


def follow_training(client: Client, project_id: str, finetune_id: str, console: Console) -> dict[str, Any]:
    """Print a training until it ends; the fields of `FINETUNE`. Raises `ApiError` unless it succeeds."""
    path = f"/api/projects/{project_id}/finetunes/{finetune_id}/logs/stream"
    warnings, losses = WarningPrinter(console), EvaluationLosses()
    with _cancel_on_interrupt(client, finetune_id), _progress_bar(console) as bar:
        task = bar.add_task("waiting for the worker", total=100, loss="")
        for name, data in client.stream(path):
            if name == "error":
                raise ApiError(data["error"])
            if "line" in data:  # warnings are stored together with lines of the log
                with suppress(ApiError):  # the server may be away for a moment; the end prints all warnings
                    warnings.print_new(client.query(WARNINGS, id=finetune_id)["finetune"]["warnings"])
            losses.add(name, data)
            _update_progress(bar, task, name, data)
    finetune: dict[str, Any] = client.query(FINETUNE, id=finetune_id)["finetune"]
    warnings.print_new([*finetune["warnings"], *losses.warnings()])
    return finetune


class WarningPrinter:
    """Prints each warning once, however often it is read."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: set[str] = set()

    def print_new(self, warnings: list[str]) -> None:
        """Print the warnings that were not printed yet."""
        for warning in warnings:
            if warning not in self._printed:
                self._printed.add(warning)
                self._console.print("  [yellow]warning:[/]", escape(warning), highlight=False, soft_wrap=True)


@dataclass
class EvaluationLosses:
    """The evaluation losses of a run and the epochs of its steps, by step; a run that is resumed repeats steps."""

    losses: dict[int, float] = field(default_factory=dict)
    epochs: dict[int, float] = field(default_factory=dict)

    def add(self, name: str, data: dict[str, Any]) -> None:
        """Add an event of the run's stream."""
        if name == "eval":
            self.losses[data["step"]] = data["eval_loss"]
        elif name == "log" and data.get("epoch") is not None:
            self.epochs[data["step"]] = data["epoch"]

    def warnings(self) -> list[str]:
        """A sentence when the last loss is above the lowest, which names the epoch of the lowest; else none."""
        steps = sorted(self.losses.keys() & self.epochs.keys())
        lowest = min(steps, key=lambda step: self.losses[step], default=None)
        if lowest is None or self.losses[lowest] == self.losses[steps[-1]]:
            return []
        epoch, loss, last_loss = self.epochs[lowest], self.losses[lowest], self.losses[steps[-1]]
        sentence = (
            f"The evaluation loss rises: it was lowest at epoch {epoch:.3g} with {loss:.4g}, and ended at "
            f"{last_loss:.4g}. The model gets worse on the held-out items while it learns the training items by "
            f"heart; train it for fewer epochs (--epochs {epoch:.3g})."
        )
        return [sentence]


def print_outcome(finetune: dict[str, Any], console: Console) -> None:
    """Print how many items were trained on, the rewards of DPO's last step, and the parity where it passed."""
    count, parity = finetune["trainedItemCount"], finetune["parity"]
    console.print(f"  {count} {'item' if count == 1 else 'items'} trained")
    for point in finetune["history"]["nodes"]:
        if point["rewardMargin"] is not None and point["rewardAccuracy"] is not None:
            console.print(
                f"  reward margin {point['rewardMargin']:.3g} in the last step, whose preferred answer is ahead in "
                f"{point['rewardAccuracy']:.0%} of the pairs"
            )
    if parity is not None and parity["passed"]:
        console.print(
            f"  parity passed: the GGUF gives {parity['outputsMatching']} of {parity['promptsCompared']} answers to "
            "the letter"
        )


def parity_failure(parity: dict[str, Any] | None) -> str | None:
    """What differs when parity did not pass, in sentences; None when it passed or nothing was compared."""
    if parity is None or parity["passed"]:
        return None
    differences = " and in ".join(_differences(parity)) or "a way that is not known: nothing was compared"
    detail = parity["detail"] or ""
    return f"the GGUF differs from the fine-tuned model in {differences}." + (
        f" {detail.rstrip('.')}." if detail else ""
    )


def _differences(parity: dict[str, Any]) -> list[str]:
    compared = parity["promptsCompared"]
    differing = compared - parity["outputsMatching"]
    differences = (
        (not parity["templateMatches"], "its rendered prompts"),
        (not parity["tokenIdsMatch"], "its token ids"),
        (differing > 0, f"{differing} of {compared} answers"),
    )
    return [name for differs, name in differences if differs]


@contextmanager
def _cancel_on_interrupt(client: Client, finetune_id: str) -> Iterator[None]:
    """Cancel the training when a signal stops the command, else it would go on at the next start."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(ApiError):
            client.mutate("cancelFinetune", "finetune { id }", id=finetune_id)
        raise


def _progress_bar(console: Console) -> Progress:
    return Progress(
        BarColumn(bar_width=32),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.description}"),
        TextColumn("[dim]{task.fields[loss]}[/]"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _update_progress(bar: Progress, task: TaskID, name: str, data: dict[str, Any]) -> None:
    if name == "progress":
        bar.update(task, completed=data["progress_pct"], description=data["message"] or "")
    elif name == "log" and data.get("train_loss") is not None:
        bar.update(task, loss=f"loss {data['train_loss']:.3f}")
