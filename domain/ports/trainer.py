"""The port to the training process: a run's configuration, and the messages that the run sends."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from domain.artifacts import ArtifactKind
from domain.conversations import ItemFormat
from domain.finetunes import InferenceSample, ParityReport
from domain.hyperparameters import FinetuneMethod, Hyperparameters, TrainingObjective
from domain.job_events import Checkpoint, LogLine, Metric, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """The configuration of one run: the same run on the same machine gives the same loss curve.

    `model_name` has the base model, the project and the version in it; `name` is what the user calls the
    fine-tune. `base_model_license` is an identifier such as `apache-2.0`, None where it is unknown.
    `system_prompt` is the dataset's: the exported chat template puts it first where a conversation has no system message.
    `items_path` is a JSON Lines file of `{"id", "split": "TRAIN" | "EVAL", "conversation"}`, or with `"preference"` in the
    place of `"conversation"` where the items are preference pairs: the records of `domain.conversations` as JSON.
    `base_model_folder` has the base model's files; None where the training process makes them (`luthier/tiny`).
    Checkpoints and artifacts are written below `folder`, which no other run uses: a later attempt
    resumes from the earlier one's checkpoints.
    """

    finetune_id: str
    name: str
    version: int
    model_name: str
    base_model_name: str
    base_model_license: str | None
    base_model_folder: Path | None = None
    base_model_revision: str | None = None
    base_model_sha256: str | None = None
    dataset_name: str
    dataset_version: int
    item_format: ItemFormat = ItemFormat.PROMPT_COMPLETION
    system_prompt: str | None = None
    objective: TrainingObjective = TrainingObjective.SFT
    method: FinetuneMethod
    hyperparameters: Hyperparameters
    seed: int
    items_path: Path
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducedFile:
    """A complete artifact on the worker's disk, not yet in storage; `sha256` is in hex."""

    filename: str
    kind: ArtifactKind
    path: Path
    size_bytes: int
    sha256: str
    quantization: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsPrepared:
    """Sent by each attempt before its first optimizer step, when the items are tokenized.

    `trained_item_count` is without the items that are left out; `warnings` are one sentence each.
    `base_model_sha256` is the digest of the weights that it trains (`domain.base_model_files`).
    """

    trained_item_count: int
    warnings: tuple[str, ...] = ()
    base_model_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """The last message of a successful run.

    `model_size_parameter` is the number of the merged model's weights; `warnings` are those that came up after
    `ItemsPrepared`.
    """

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
    warnings: tuple[str, ...] = ()


TrainingMessage = ItemsPrepared | Progress | Metric | Checkpoint | LogLine | TrainingResult


class Trainer(Protocol):
    """Runs the training process."""

    def train(self, run: TrainingRun) -> AsyncIterator[TrainingMessage]:
        """Run to the end and yield its messages, `TrainingResult` last. Raises `TrainingFailed`.

        It resumes from the newest complete checkpoint in `run.folder`. Closing the iterator, or cancelling
        the task that reads it, has the process save a checkpoint and exit.
        """
        ...

    def rejection_reason(self, method: FinetuneMethod) -> str | None:
        """Why a run by `method` is not even queued, as a sentence; None where it is."""
        ...

    def unsupported_reason(self, method: FinetuneMethod) -> str | None:
        """Why this machine cannot train by `method`, as a sentence; None where it can."""
        ...


class TrainingFailed(Exception):
    """The training process failed; the message is one sentence for the user."""
