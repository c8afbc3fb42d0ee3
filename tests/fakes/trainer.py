"""A trainer that needs no torch: it sends the metrics of two steps and writes a small file as its model."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from domain.finetunes import ArtifactKind, FinetuneMethod, InferenceSample, ParityReport
from domain.job_events import Checkpoint, LogLine, Metric, Progress
from domain.ports.trainer import ProducedFile, TrainingFailed, TrainingMessage, TrainingResult, TrainingRun
from domain.rules import safe_name
from domain.training_points import TrainingPoint

AT = datetime(2026, 1, 1, tzinfo=UTC)


class FakeTrainer:
    """Set `error` for a run that fails; clear `may_end` for one that trains until it is cancelled or that is set."""

    def __init__(self) -> None:
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
        """Two steps and a model."""
        self.runs.append(run)
        try:
            yield Progress(0.1, "Training: step 1 of 2")
            for step in (1, 2):
                point = TrainingPoint(
                    step=step, epoch=step / 2, train_loss=2.0 / step, learning_rate=1e-3, at=AT
                )
                yield Metric(point, total_steps=2, tokens_per_second=100.0)
            yield Checkpoint(2, "checkpoint-2")
            yield LogLine("trained")
            await self.may_end.wait()
        finally:
            self.stopped.set()
        if self.error is not None:
            raise TrainingFailed(self.error)
        yield result_of(run)


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
