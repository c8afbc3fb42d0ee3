"""One run from its items to its artifacts. A later attempt resumes where the earlier one stopped."""

import gc
import shutil
from dataclasses import dataclass
from pathlib import Path

import httpx
from transformers import PreTrainedModel

from domain.artifacts import ArtifactKind
from domain.base_model_files import require_pinned
from domain.conversations import Conversation
from domain.errors import Invalid
from domain.finetunes import InferenceSample, ParityReport
from domain.hyperparameters import TrainingObjective
from domain.ports.trainer import ItemsPrepared, ProducedFile, TrainingFailed, TrainingResult, TrainingRun
from domain.storage_keys import gguf_filename
from infra.training import artifacts, export, model_card, parity, run_summary, tiny
from infra.training.adapter_training import train_adapter, use_all_cores
from infra.training.base_model import LocalBaseModel, fetch_base_model
from infra.training.data import TokenizedItem, TokenizedSplit, cannot_train, tokenize
from infra.training.frozen_run import FrozenRun
from infra.training.generation import eos_token_ids, generate_greedily
from infra.training.items_file import read_items, read_preferences
from infra.training.pairs import tokenize_pairs
from infra.training.parity_prompts import parity_prompts
from infra.training.reporter import Reporter
from infra.training.run_summary import RunSummary
from infra.training.stop_tokens import untrained_token_warnings
from infra.training.system_prompts import set_system_prompt
from infra.training.training_callback import PROGRESS_END
from infra.training.training_history import latest_checkpoint, read_history, training_point
from infra.training.transcripts import asked_text, expected_output

MAX_SAMPLES = 5
MAX_SAMPLE_TOKENS = 256  # of each output
READS_DIFFERENTLY = "The exported GGUF reads its prompts differently from the fine-tuned model and will answer wrongly; see parity."
ANSWERS_DIFFERENTLY = (
    "The exported GGUF reads its prompts as the fine-tuned model does, but often answers differently: rounding to "
    "8 bits tips a model that is not sure of its answers; train it longer, or see parity."
)


@dataclass(frozen=True, slots=True)
class TrainingInputs:
    """What a run is made from: its frozen configuration, the base model, and the items in at most `max_length` tokens."""

    frozen: FrozenRun
    base_model: LocalBaseModel
    max_length: int
    train: TokenizedSplit
    held_out: TokenizedSplit
    warnings: tuple[str, ...]

    @property
    def work_folder(self) -> Path:
        """The folder of the checkpoints and the adapter."""
        return self.frozen.work_folder

    @property
    def sample_items(self) -> tuple[TokenizedItem, ...]:
        """The items whose outputs are shown: held-out ones where there are any."""
        return (self.held_out.items or self.train.items)[:MAX_SAMPLES]

    @property
    def parity_prompts(self) -> list[Conversation]:
        """The prompts to compare the export on: those of trained items, whose outputs vary least."""
        return parity_prompts(self.train.items, parity.MAX_PROMPTS)


@dataclass(frozen=True, slots=True)
class ExportOutcome:
    """The outputs for the samples before and after training, the parity, and the merged model's size and type."""

    base_outputs: list[str]
    tuned_outputs: list[str]
    parity: ParityReport
    parameters: int
    dtype: str


def run(frozen: FrozenRun, reporter: Reporter) -> None:
    """Train, merge, export, compare and write the artifacts; the `TrainingResult` is reported last."""
    use_all_cores()
    reporter.begin_stage(0.03, f"Loading {frozen.run.base_model_name}")
    inputs = prepare_inputs(frozen)
    reporter.report(
        ItemsPrepared(
            trained_item_count=len(inputs.train.items),
            warnings=inputs.warnings,
            base_model_sha256=inputs.base_model.sha256,
        )
    )
    if (reason := cannot_train(inputs.train, inputs.max_length)) is not None:
        raise TrainingFailed(reason)
    if not (inputs.work_folder / "adapter").exists():
        _train_adapter(inputs, reporter)
    folder = frozen.run.folder / "artifacts"
    folder.mkdir(exist_ok=True)
    gguf = folder / gguf_filename(frozen.run.model_name)
    outcome = _export(inputs, gguf, reporter)
    reporter.begin_stage(0.98, "Writing the report")
    reporter.report(_result(inputs, outcome, gguf))


def prepare_inputs(frozen: FrozenRun) -> TrainingInputs:
    """Load the base model's tokenizer and tokenize the items. Raises `TrainingFailed` for other weights than before."""
    run = frozen.run
    base_model = fetch_base_model(run.base_model_name, frozen.models_folder, run.base_model_folder)
    _require_pinned(run, base_model)
    if run.system_prompt:
        base_model = set_system_prompt(base_model, run.system_prompt)
    requested_length = frozen.run.hyperparameters.max_seq_length
    length = min(requested_length, base_model.max_tokens)
    train, held_out = _tokenized_splits(frozen.run, base_model, length)
    consequence = "left out" if frozen.run.objective is TrainingObjective.DPO else "truncated to that length"
    shortened = f"The base model reads {length} tokens at most, not {requested_length}; longer items were {consequence}."
    warnings = (
        *base_model.warnings,
        *untrained_token_warnings(base_model),
        *([shortened] if length < requested_length else []),
        *train.warnings("training", length),
        *held_out.warnings("held-out", length),
    )
    return TrainingInputs(frozen, base_model, length, train, held_out, warnings)


def _tokenized_splits(
    run: TrainingRun, base_model: LocalBaseModel, max_length: int
) -> tuple[TokenizedSplit, ...]:
    """The items to train on and those held out."""
    if run.objective is TrainingObjective.DPO:
        pairs = read_preferences(run.items_path)
        return tuple(tokenize_pairs(split, base_model, max_length) for split in pairs)
    return tuple(tokenize(split, base_model, max_length) for split in read_items(run.items_path))


def _require_pinned(run: TrainingRun, base_model: LocalBaseModel) -> None:
    try:
        require_pinned(run.base_model_name, run.base_model_sha256, base_model.sha256)
    except Invalid as error:
        raise TrainingFailed(error.message) from error


def _train_adapter(inputs: TrainingInputs, reporter: Reporter) -> None:
    work_folder = inputs.work_folder
    work_folder.mkdir(parents=True, exist_ok=True)
    if inputs.frozen.run.base_model_name != tiny.NAME and latest_checkpoint(work_folder) is None:
        reporter.begin_stage(0.04, "Checking that the base model can be exported")
        export.check_convertible(inputs.base_model, work_folder / "check.gguf", reporter)
    train_adapter(
        inputs.frozen.run,
        inputs.base_model,
        train=inputs.train,
        held_out=inputs.held_out,
        work_folder=work_folder,
        reporter=reporter,
    )
    gc.collect()  # the trainer refers to itself, and with it to a model's worth of memory


def _export(inputs: TrainingInputs, gguf: Path, reporter: Reporter) -> ExportOutcome:
    base_model, run = inputs.base_model, inputs.frozen.run
    folder = inputs.work_folder / "merged"
    reporter.begin_stage(PROGRESS_END, "Answering the samples with the base model")
    model = base_model.load_weights()
    base_outputs = _sample_outputs(model, inputs)
    reporter.begin_stage(0.83, "Merging the adapter")
    model = export.merge_adapter(model, inputs.work_folder / "adapter")
    export.save_merged(model, base_model, folder)
    reporter.begin_stage(0.86, "Converting to GGUF")
    with export.converting(folder, gguf, run, reporter):
        tuned_outputs = _sample_outputs(model, inputs)
        merged_results = _merged_model_results(model, inputs)
    shutil.rmtree(folder)
    reporter.begin_stage(0.94, "Comparing the GGUF with the fine-tuned model")
    return ExportOutcome(
        base_outputs,
        tuned_outputs,
        _parity(inputs, merged_results, gguf, reporter),
        sum(weights.numel() for weights in model.parameters()),
        str(model.dtype).removeprefix("torch."),
    )


def _sample_outputs(model: PreTrainedModel, inputs: TrainingInputs) -> list[str]:
    base_model, samples = inputs.base_model, inputs.sample_items
    longest_answer = max(len(sample.texts[0].ending_ids) for sample in samples)
    prompts = [base_model.token_ids(sample.item.asked, add_generation_prompt=True) for sample in samples]
    max_tokens = min(MAX_SAMPLE_TOKENS, 16 + longest_answer * 3 // 2)
    return generate_greedily(model, base_model, prompts, eos_token_ids(model, base_model), max_tokens)


def _merged_model_results(model: PreTrainedModel, inputs: TrainingInputs) -> list[parity.PromptResult]:
    base_model = inputs.base_model
    conversations = inputs.parity_prompts
    prompts = [
        base_model.token_ids(conversation, add_generation_prompt=True) for conversation in conversations
    ]
    eos_ids = eos_token_ids(model, base_model)
    outputs = generate_greedily(model, base_model, prompts, eos_ids, parity.MAX_TOKENS)
    return parity.merged_model_results(base_model, conversations, outputs)


def _parity(
    inputs: TrainingInputs, merged_results: list[parity.PromptResult], gguf: Path, reporter: Reporter
) -> ParityReport:
    conversations = inputs.parity_prompts
    context = max(len(result.token_ids) for result in merged_results) + 2 * parity.MAX_TOKENS
    try:
        gguf_results = parity.gguf_results(gguf, conversations, context, reporter)
    except (OSError, httpx.HTTPError) as error:
        return parity.load_failure(error, len(conversations))
    return parity.compare(merged_results, gguf_results, inputs.base_model.tokenizer.bos_token)


def _result(inputs: TrainingInputs, outcome: ExportOutcome, gguf: Path) -> TrainingResult:
    summary = _summary(inputs, outcome)
    files = _files(inputs, summary, gguf)
    return TrainingResult(
        model_size_gb=gguf.stat().st_size / 1e9,
        model_size_parameter=outcome.parameters,
        model_dtype=outcome.dtype,
        model_quantization=export.QUANTIZATION,
        training_time_seconds=summary.seconds,
        final_train_loss=summary.final_train_loss,
        samples_held_out=bool(inputs.held_out.items),
        samples=summary.samples,
        files=tuple(files),
        parity=summary.parity,
        warnings=_parity_warnings(outcome.parity),
    )


def _summary(inputs: TrainingInputs, outcome: ExportOutcome) -> RunSummary:
    history = read_history(inputs.work_folder / "adapter")
    samples = (
        InferenceSample(
            prompt=asked_text(sample.item.asked),
            expected=expected_output(inputs.base_model, sample.item.asked, sample.item.answer),
            base_output=base_output,
            tuned_output=tuned_output,
        )
        for sample, base_output, tuned_output in zip(
            inputs.sample_items, outcome.base_outputs, outcome.tuned_outputs, strict=True
        )
    )
    return RunSummary(
        frozen=inputs.frozen,
        train=inputs.train,
        held_out=inputs.held_out,
        points=tuple(training_point(entry) for entry in history),
        seconds=history[-1]["seconds"] if history else 0.0,
        samples=tuple(samples),
        parity=outcome.parity,
        warnings=(*inputs.warnings, *_parity_warnings(outcome.parity)),
    )


def _parity_warnings(report: ParityReport) -> tuple[str, ...]:
    if report.passed:
        return ()
    reads_alike = report.template_matches and report.token_ids_match
    return (ANSWERS_DIFFERENTLY if reads_alike else READS_DIFFERENTLY,)


def _files(inputs: TrainingInputs, summary: RunSummary, gguf: Path) -> list[ProducedFile]:
    frozen, folder = inputs.frozen, gguf.parent
    config = run_summary.configuration(frozen, inputs.base_model, inputs.train, inputs.held_out)
    return [
        artifacts.produced_file(gguf, ArtifactKind.GGUF, export.QUANTIZATION),
        *artifacts.copy_adapter(inputs.work_folder / "adapter", folder, frozen.run.base_model_name),
        *artifacts.write_tokenizer(inputs.base_model, folder),
        *artifacts.copy_tiny_model(inputs.base_model, folder, frozen.run.base_model_name),
        artifacts.write_file(folder / "training_config.json", ArtifactKind.CONFIG, config),
        artifacts.write_file(folder / "metrics.json", ArtifactKind.METRICS, run_summary.metrics(summary)),
        artifacts.write_file(folder / "report.md", ArtifactKind.REPORT, run_summary.report(summary)),
        artifacts.write_file(folder / "README.md", ArtifactKind.REPORT, model_card.model_card(summary)),
    ]
