"""What one training run is given, and what it says while it works: the port to the training process."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class FinetuneMethod(StrEnum):
    """How the weights are tuned."""

    LORA = "LORA"
    QLORA = "QLORA"
    FULL = "FULL"


class ArtifactKind(StrEnum):
    """What an artefact is for."""

    GGUF = "GGUF"
    ADAPTER = "ADAPTER"
    MERGED = "MERGED"
    CONFIG = "CONFIG"
    METRICS = "METRICS"
    REPORT = "REPORT"
    ARCHIVE = "ARCHIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Every knob of a run, with nothing left to a library's default."""

    num_epochs: float
    learning_rate: float
    per_device_batch_size: int
    gradient_accumulation_steps: int
    max_seq_length: int
    lora_r: int
    lora_alpha: int
    lora_dropout: float
    target_modules: tuple[str, ...]
    warmup_ratio: float
    weight_decay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """One run, frozen: the same run on the same machine gives the same loss curve.

    `items_path` is a JSON Lines file of `{"id", "input", "output", "split": "TRAIN" | "EVAL"}`.
    `folder` is the run's own: checkpoints and artefacts are written below it, and a later attempt
    of the same run finds the earlier one's checkpoints there.
    """

    finetune_id: str
    model_name: str
    base_model_name: str
    method: FinetuneMethod
    hyperparameters: Hyperparameters
    seed: int
    items_path: Path
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPoint:
    """One point of the curve. Losses are mean cross-entropy in nats per token."""

    step: int
    epoch: float
    train_loss: float | None = None
    eval_loss: float | None = None
    perplexity: float | None = None
    learning_rate: float | None = None
    at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the whole run has come, 0.0 to 1.0, and what it is doing now."""

    progress: float
    message: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One optimiser step or one evaluation, out of `total_steps`."""

    point: TrainingPoint
    total_steps: int
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint is whole on disk."""

    step: int
    path: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line for the run's log."""

    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceSample:
    """One prompt, answered greedily by the base model and by the tuned one."""

    prompt: str
    expected: str | None = None
    base_output: str | None = None
    tuned_output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """Whether the exported GGUF answers as the trained model did."""

    passed: bool
    prompts_compared: int
    template_matches: bool
    token_ids_match: bool
    outputs_matching: int
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducedFile:
    """An artefact on the worker's disk, whole and checksummed, not yet in storage."""

    filename: str
    kind: ArtifactKind
    path: Path
    size_bytes: int
    sha256: str
    quantization: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a run that ended well leaves. `model_size_parameter` counts the merged model's weights."""

    model_size_gb: float
    model_size_parameter: int
    model_dtype: str
    model_quantization: str
    training_time_seconds: float
    samples_held_out: bool
    final_train_loss: float | None = None
    samples: tuple[InferenceSample, ...] = ()
    files: tuple[ProducedFile, ...] = ()
    parity: ParityReport | None = None
    warnings: tuple[str, ...] = field(default=())


Report = Progress | Measured | Checkpoint | Line | TrainingResult


class Trainer(Protocol):
    """Runs the training process."""

    def train(self, run: TrainingRun) -> AsyncIterator[Report]:
        """Run to the end and yield what it reports, `TrainingResult` last.

        Goes on from the newest whole checkpoint in `run.folder`. Closing the iterator, or cancelling
        the task that reads it, has the process save a checkpoint and end. Raises `TrainingFailed`.
        """
        ...

    def foreseen(self, method: FinetuneMethod) -> str | None:
        """Why a run by `method` need not even be queued, as a sentence; None where it may be."""
        ...

    def refusal(self, method: FinetuneMethod) -> str | None:
        """Why this machine cannot train by `method`, as a sentence; None where it can."""
        ...


class TrainingFailed(Exception):
    """The training process ended badly; the message is for the user, one sentence."""
