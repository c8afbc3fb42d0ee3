"""A trainer that needs no torch: it sends the metrics of two steps and writes a small file as its model."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from domain.artifacts import ArtifactKind
from domain.finetunes import InferenceSample, ParityReport
from domain.hyperparameters import FinetuneMethod
from domain.job_events import Checkpoint, LogLine, Metric, Progress
from domain.ports.trainer import (
    ItemsPrepared,
    ProducedFile,
    TrainingFailed,
    TrainingMessage,
    TrainingResult,
    TrainingRun,
)
from domain.rules import safe_name
from domain.training_points import TrainingPoint

AT = datetime(2026, 1, 1, tzinfo=UTC)


class FakeTrainer:
    """Set `error` for a run that fails; clear `may_end` for one that trains until it is cancelled or that is set.

    `messages` are sent in the place of two steps, and `result` has values that the result gets.
    """

    def __init__(self, messages: Sequence[TrainingMessage] | None = None, **result: Any) -> None:
        self.messages = messages
        self.result = result
        self.runs: list[TrainingRun] = []
        self.error: str | None = None
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.stopped = asyncio.Event()

    def unsupported_reason(self, method: FinetuneMethod) -> str | None:
        """None for LoRA only, as on a machine without CUDA."""
        return None if method is FinetuneMethod.LORA else "QLoRA needs CUDA; use LORA."

    def rejection_reason(self, method: FinetuneMethod) -> str | None:
        """The `unsupported_reason`: the API and the worker are on one machine."""
        return self.unsupported_reason(method)

    async def train(self, run: TrainingRun) -> AsyncIterator[TrainingMessage]:
        """Send the messages and the result."""
        self.runs.append(run)
        try:
            for message in two_steps(run) if self.messages is None else self.messages:
                yield message
            await self.may_end.wait()
        finally:
            self.stopped.set()
        if self.error is not None:
            raise TrainingFailed(self.error)
        yield replace(result_of(run), **self.result)


def two_steps(run: TrainingRun) -> list[TrainingMessage]:
    """The messages of a run of two steps on all of its training items."""
    items = map(json.loads, run.items_path.read_text().splitlines())
    points = [
        TrainingPoint(step=step, epoch=step / 2, train_loss=2.0 / step, learning_rate=1e-3, at=AT)
        for step in (1, 2)
    ]
    return [
        ItemsPrepared(trained_item_count=sum(item["split"] == "TRAIN" for item in items)),
        Progress(0.1, "Training: step 1 of 2"),
        *(Metric(point, total_steps=2, tokens_per_second=100.0) for point in points),
        Checkpoint(2, "checkpoint-2"),
        LogLine("trained"),
    ]


def result_of(run: TrainingRun) -> TrainingResult:
    """The result of a run, with files that have the names of a GGUF and a configuration."""
    return TrainingResult(
        model_size_gb=0.1,
        model_size_parameter=1_000,
        model_dtype="float32",
        model_quantization="q8_0",
        training_time_seconds=1.5,
        samples_held_out=False,
        final_train_loss=1.0,
        samples=(InferenceSample(prompt="q", expected="a", base_output="?", tuned_output="a"),),
        files=(
            _file(run, f"{safe_name(run.model_name)}.gguf", ArtifactKind.GGUF, b"GGUF, or nearly"),
            _file(run, "training_config.json", ArtifactKind.CONFIG, b"{}"),
        ),
        parity=ParityReport(
            passed=True, prompts_compared=1, template_matches=True, token_ids_match=True, outputs_matching=1
        ),
    )


def _file(run: TrainingRun, name: str, kind: ArtifactKind, content: bytes) -> ProducedFile:
    path = run.folder / name
    path.write_bytes(content)
    return ProducedFile(
        filename=name,
        kind=kind,
        path=path,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        quantization="q8_0" if kind is ArtifactKind.GGUF else None,
    )
