"""One run from its items to its artefacts. A later attempt goes on where the earlier one was."""

import gc
import shutil
from dataclasses import dataclass
from pathlib import Path

import httpx
from transformers import PreTrainedModel

from domain.finetunes import ArtifactKind, InferenceSample, ParityReport
from domain.ports.trainer import ProducedFile, TrainingFailed, TrainingResult
from domain.rules import safe_name
from infra.training import artifacts, export, parity, run_summary, tiny
from infra.training.base_model import Base, find
from infra.training.data import Prepared, Row, prepare, read
from infra.training.frozen_run import FrozenRun
from infra.training.generation import greedy, stop_tokens
from infra.training.reporter import Reporter
from infra.training.tune import END, history, newest_whole, point, tune, use_all_cores

SAMPLES = 5  # at most
SAMPLE_TOKENS = 256  # at most, of each answer
BROKEN = "The exported GGUF reads its prompts differently from the tuned model and will answer wrongly; see parity."
UNSURE = (
    "The exported GGUF reads its prompts as the tuned model does, but often answers differently: rounding to "
    "8 bits tips a model that is not sure of its answers; train it longer, or see parity."
)


@dataclass(frozen=True, slots=True)
class Material:
    """What a run is made from."""

    frozen: FrozenRun
    base: Base
    train: Prepared
    held_out: Prepared
    warnings: tuple[str, ...]

    @property
    def work(self) -> Path:
        """Where the checkpoints and the adapter are."""
        return self.frozen.work_folder

    @property
    def sampled(self) -> tuple[Row, ...]:
        """The rows to show: held-out ones where there are any."""
        return (self.held_out.rows or self.train.rows)[:SAMPLES]

    @property
    def compared(self) -> tuple[Row, ...]:
        """The rows to compare the export on, from all over the table: trained ones, of which the model is sure."""
        rows = self.train.rows
        count = min(parity.PROMPTS, len(rows))
        return tuple(rows[at * len(rows) // count] for at in range(count))


@dataclass(frozen=True, slots=True)
class Exported:
    """What the finished model said, and its weights."""

    base_outputs: list[str]
    tuned_outputs: list[str]
    parity: ParityReport
    parameters: int
    dtype: str


def run(frozen: FrozenRun, say: Reporter) -> None:
    """Train, merge, export, compare and publish; ends with the `TrainingResult`."""
    use_all_cores()
    say.stage(0.03, f"Loading {frozen.run.base_model_name}")
    material = gather(frozen)
    for warning in material.warnings:
        say.line(f"Warning: {warning}")
    if not (material.work / "adapter").exists():
        _tuned_adapter(material, say)
    folder = frozen.run.folder / "artifacts"
    folder.mkdir(exist_ok=True)
    gguf = folder / f"{safe_name(frozen.run.model_name)}.gguf"
    exported = _exported(material, gguf, say)
    say.stage(0.98, "Writing the report")
    say.say(_result(material, exported, gguf))


def _tuned_adapter(material: Material, say: Reporter) -> None:
    run = material.frozen.run
    material.work.mkdir(parents=True, exist_ok=True)
    if run.base_model_name != tiny.NAME and newest_whole(material.work) is None:
        say.stage(0.04, "Checking that the base model can be exported")
        export.check(material.base, material.work / "check.gguf", say)
    tune(run, material.base, train=material.train, held_out=material.held_out, work=material.work, say=say)
    gc.collect()  # the trainer holds itself, and with it a model's worth of memory


def gather(frozen: FrozenRun) -> Material:
    """The base model and the tokenised items; raises `TrainingFailed` when there is nothing to train on."""
    base = find(frozen.run.base_model_name, frozen.models_folder)
    wished = frozen.run.hyperparameters.max_seq_length
    length = min(wished, base.context)
    train, held_out = (prepare(items, base, length) for items in read(frozen.run.items_path))
    if not train.rows:
        raise TrainingFailed(
            f"No item can be trained on: no answer fits into {length} tokens with its prompt."
        )
    shortened = f"The base model reads {length} tokens at most, not {wished}; longer items were cut there."
    warnings = (
        *base.warnings,
        *([shortened] if length < wished else []),
        *train.warnings("training", length),
        *held_out.warnings("held-out", length),
    )
    return Material(frozen, base, train, held_out, warnings)


def _exported(material: Material, gguf: Path, say: Reporter) -> Exported:
    base, name = material.base, material.frozen.run.model_name
    folder = material.work / "merged"
    say.stage(END, "Answering the samples with the base model")
    model = base.load()
    base_outputs = _sampled(model, material)
    say.stage(0.83, "Merging the adapter")
    model = export.merged(model, material.work / "adapter")
    export.save(model, base, folder)
    say.stage(0.86, "Converting to GGUF")
    with export.converting(folder, gguf, name, say):
        tuned_outputs = _sampled(model, material)
        tuned = _tuned(model, material)
    shutil.rmtree(folder)
    say.stage(0.94, "Comparing the GGUF with the tuned model")
    return Exported(
        base_outputs,
        tuned_outputs,
        _parity(material, tuned, gguf, say),
        sum(each.numel() for each in model.parameters()),
        str(model.dtype).removeprefix("torch."),
    )


def _sampled(model: PreTrainedModel, material: Material) -> list[str]:
    base, rows = material.base, material.sampled
    longest = max(sum(label >= 0 for label in row.labels) for row in rows)
    prompts = [base.token_ids(row.item.prompt, answering=True) for row in rows]
    limit = min(SAMPLE_TOKENS, 16 + longest * 3 // 2)
    return greedy(model, base, prompts, stop_tokens(model, base), limit)


def _tuned(model: PreTrainedModel, material: Material) -> list[parity.Answered]:
    base = material.base
    conversations = [row.item.prompt for row in material.compared]
    prompts = [base.token_ids(each, answering=True) for each in conversations]
    outputs = greedy(model, base, prompts, stop_tokens(model, base), parity.TOKENS)
    return parity.ours(base, conversations, outputs)


def _parity(material: Material, tuned: list[parity.Answered], gguf: Path, say: Reporter) -> ParityReport:
    conversations = [row.item.prompt for row in material.compared]
    context = max(len(each.token_ids) for each in tuned) + 2 * parity.TOKENS
    try:
        exported = parity.theirs(gguf, conversations, context, say)
    except (OSError, httpx.HTTPError) as error:
        return parity.unloadable(error, len(conversations))
    return parity.compare(tuned, exported, material.base.tokenizer.bos_token)


def _result(material: Material, exported: Exported, gguf: Path) -> TrainingResult:
    story = _story(material, exported)
    files = _files(material, story, gguf)
    return TrainingResult(
        model_size_gb=gguf.stat().st_size / 1e9,
        model_size_parameter=exported.parameters,
        model_dtype=exported.dtype,
        model_quantization=export.QUANTIZATION,
        training_time_seconds=story.seconds,
        final_train_loss=story.final_train_loss,
        samples_held_out=bool(material.held_out.rows),
        samples=story.samples,
        files=tuple(files),
        parity=story.parity,
        warnings=story.warnings,
    )


def _story(material: Material, exported: Exported) -> run_summary.Story:
    entries = history(material.work / "adapter")
    samples = (
        InferenceSample(
            prompt=row.item.input, expected=row.item.output, base_output=before, tuned_output=after
        )
        for row, before, after in zip(
            material.sampled, exported.base_outputs, exported.tuned_outputs, strict=True
        )
    )
    return run_summary.Story(
        frozen=material.frozen,
        train=material.train,
        held_out=material.held_out,
        points=tuple(point(each) for each in entries),
        seconds=entries[-1]["seconds"] if entries else 0.0,
        samples=tuple(samples),
        parity=exported.parity,
        warnings=(*material.warnings, *_alarms(exported.parity)),
    )


def _alarms(report: ParityReport) -> tuple[str, ...]:
    if report.passed:
        return ()
    return (UNSURE if report.template_matches and report.token_ids_match else BROKEN,)


def _files(material: Material, story: run_summary.Story, gguf: Path) -> list[ProducedFile]:
    frozen, folder = material.frozen, gguf.parent
    config = run_summary.configuration(frozen, material.base, material.train, material.held_out)
    return [
        artifacts.produced(gguf, ArtifactKind.GGUF, export.QUANTIZATION),
        *artifacts.adapter(material.work / "adapter", folder, frozen.run.base_model_name),
        artifacts.written(folder / "training_config.json", ArtifactKind.CONFIG, config),
        artifacts.written(folder / "metrics.json", ArtifactKind.METRICS, run_summary.metrics(story)),
        artifacts.written(folder / "report.md", ArtifactKind.REPORT, run_summary.report(story)),
    ]
