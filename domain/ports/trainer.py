"""The port to the training process: what one run is given, and what it reports."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from domain.finetunes import (
    ArtifactKind,
    FinetuneMethod,
    Hyperparameters,
    InferenceSample,
    ParityReport,
)
from domain.job_events import Checkpoint, LogLine, Metric, Progress


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


TrainingReport = Progress | Metric | Checkpoint | LogLine | TrainingResult


class Trainer(Protocol):
    """Runs the training process."""

    def train(self, run: TrainingRun) -> AsyncIterator[TrainingReport]:
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
