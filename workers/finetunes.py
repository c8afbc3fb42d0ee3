"""Trains fine-tunes: runs the training process on the frozen items, records its messages, and stores its files."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from domain.artifacts import Artifact
from domain.conversations import conversation_as_json, preference_as_json
from domain.datasets import Dataset
from domain.errors import DomainError, Invalid, Unavailable
from domain.finetunes import SAVE_CHECKPOINT, Finetune, TrainingMetrics, updated_metrics
from domain.ids import Noun
from domain.items import Item
from domain.job_events import Checkpoint, Event, LogLine, Metric, Progress
from domain.jobs import Job, JobStatus, Superseded
from domain.ports.trainer import (
    ItemsPrepared,
    ProducedFile,
    TrainingFailed,
    TrainingMessage,
    TrainingResult,
    TrainingRun,
)
from domain.reading import not_found_error, require
from domain.services import Services
from domain.texts import replace_invalid_characters
from workers.base_model_files import TrainingFiles, for_training
from workers.batched_stream import BatchedStream
from workers.dispatcher import record_events

FLUSH_INTERVAL_S = 0.2
"""At most five transactions a second, however short the steps are."""
LINES_PER_WRITE = 500
"""Items that are written together, on a thread."""
BINARY, JSON, TEXT = "application/octet-stream", "application/json", "text/markdown; charset=utf-8"
MEDIA_TYPES = {".json": JSON, ".md": TEXT}


async def handle(services: Services, job: Job) -> dict[str, Any]:
    """Train the job's fine-tune and publish its files; a second run resumes from the first one's checkpoint."""
    finetune, dataset = await _subject(services, job)
    if reason := services.trainer.unsupported_reason(finetune.method):
        raise Invalid(reason, reason="METHOD_UNAVAILABLE")
    folder = services.work_folder / finetune.id
    if finetune.gguf is None:  # otherwise an earlier attempt was stopped after it had published
        try:
            async with for_training(services, job, finetune) as files:
                run = await _run(services, finetune, dataset, files, folder)
                result = await _train(services, job, finetune, run)
            finetune = await _publish(services, job, finetune, result)
        except TrainingFailed as error:
            raise Invalid(replace_invalid_characters(str(error)), reason="TRAINING_FAILED") from error
        except (asyncio.CancelledError, Superseded):
            if not await _keeps_checkpoint(services, job):
                await _discard(services, finetune)
            raise
    await delete_work_folder(services, finetune.id)
    return _summary(finetune)


async def delete_work_folder(services: Services, finetune_id: str) -> None:
    """Delete a fine-tune's folder on this machine: its items, checkpoints and files before they are stored."""
    await asyncio.to_thread(shutil.rmtree, services.work_folder / finetune_id, ignore_errors=True)


async def _discard(services: Services, finetune: Finetune) -> None:
    """Delete the folder of a run, and the files that it has stored already: nothing else refers to them."""
    await delete_work_folder(services, finetune.id)
    with suppress(DomainError):
        await services.storage.delete(finetune.prefix)


async def _subject(services: Services, job: Job) -> tuple[Finetune, Dataset]:
    """The fine-tune and its dataset. Raises `NotFound` when one of them is deleted."""
    async with services.transactions.read() as store:
        finetune = await require(store.finetunes, job.subject_id, viewer_id=job.owner_id)
        found = await store.datasets.including_deleted([finetune.dataset_id], viewer_id=job.owner_id)
    if finetune.dataset_id not in found:
        raise not_found_error(Noun.DATASET, finetune.dataset_id)
    return finetune, found[finetune.dataset_id]


async def _run(
    services: Services, finetune: Finetune, dataset: Dataset, files: TrainingFiles, folder: Path
) -> TrainingRun:
    """The configuration of the run, whose items are written into its folder."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    path = folder / "items.jsonl"
    async with services.transactions.begin() as store:
        lines = (_json_line(dataset, item) async for item in store.frozen_items.stream(finetune.id))
        await _write(path, lines)
    return TrainingRun(
        finetune_id=finetune.id,
        name=finetune.name,
        version=finetune.version,
        model_name=finetune.model_name,
        base_model_name=finetune.base_model_name,
        base_model_license=files.license,
        base_model_folder=files.folder,
        base_model_revision=files.revision,
        base_model_sha256=files.sha256,
        dataset_name=dataset.name,
        dataset_version=dataset.version,
        item_format=dataset.item_format,
        system_prompt=dataset.system_prompt,
        objective=finetune.objective,
        method=finetune.method,
        hyperparameters=finetune.hyperparameters,
        seed=finetune.seed,
        items_path=path,
        folder=folder,
    )


def _json_line(dataset: Dataset, item: Item) -> str:
    record: dict[str, Any] = {"id": item.id, "split": item.split}
    if conversation := dataset.conversation_of(item.values):
        record["conversation"] = conversation_as_json(conversation)
    if preference := dataset.preference_of(item.values):
        record["preference"] = preference_as_json(preference)
    return json.dumps(record, ensure_ascii=False) + "\n"


async def _write(path: Path, lines: AsyncIterator[str]) -> None:
    """Write a text file atomically, with at most `LINES_PER_WRITE` lines in memory."""
    partial, pending = path.with_suffix(".partial"), list[str]()
    file = await asyncio.to_thread(partial.open, "w", encoding="utf-8", newline="\n")
    try:
        async for line in lines:
            pending.append(line)
            if len(pending) == LINES_PER_WRITE:
                await asyncio.to_thread(file.writelines, pending)
                pending = []
        await asyncio.to_thread(file.writelines, pending)
    finally:
        await asyncio.to_thread(file.close)
    await asyncio.to_thread(partial.replace, path)


async def _train(services: Services, job: Job, finetune: Finetune, run: TrainingRun) -> TrainingResult:
    """Record the training process's messages until its result, which is returned with all warnings of this attempt.

    When this is stopped early, the process saves a checkpoint, unless the job was cancelled without one.
    """
    metrics = finetune.metrics
    prepared: ItemsPrepared | None = None
    result: TrainingResult | None = None
    async with BatchedStream(services.trainer.train(run), FLUSH_INTERVAL_S) as batches:
        try:
            async for messages in batches:
                batch = _batch(messages)
                metrics = await _record(services, job, batch, metrics)
                prepared, result = batch.prepared or prepared, batch.result or result
        except (asyncio.CancelledError, Superseded):
            batches.skip_cleanup = not await _keeps_checkpoint(services, job)
            raise
    if result is None:
        raise TrainingFailed("The training process ended without a result.")
    return replace(result, warnings=(prepared.warnings if prepared else ()) + result.warnings)


@dataclass(slots=True)
class _Batch:
    """Messages that arrived together: their events, with only the newest progress, and the other messages."""

    events: list[Event] = field(default_factory=list)
    prepared: ItemsPrepared | None = None
    result: TrainingResult | None = None

    @property
    def metrics(self) -> list[Metric]:
        return [event for event in self.events if isinstance(event, Metric)]


def _batch(messages: Iterable[TrainingMessage]) -> _Batch:
    batch = _Batch()
    for message in messages:
        if isinstance(message, TrainingResult):
            batch.result = message
            continue
        if isinstance(message, ItemsPrepared):
            batch.prepared = message
        elif isinstance(message, Progress):
            batch.events = [event for event in batch.events if not isinstance(event, Progress)]
        batch.events += _events(message)
    return batch


def _events(message: ItemsPrepared | Progress | Metric | Checkpoint | LogLine) -> list[Event]:
    if isinstance(message, ItemsPrepared):
        lines = [
            f"Training items: {message.trained_item_count}",
            *(f"Warning: {text}" for text in message.warnings),
        ]
        return [LogLine(replace_invalid_characters(line)) for line in lines]
    return [LogLine(replace_invalid_characters(message.line)) if isinstance(message, LogLine) else message]


async def _record(
    services: Services, job: Job, batch: _Batch, metrics: TrainingMetrics | None
) -> TrainingMetrics | None:
    """Record a batch in one transaction; returns the newest metrics."""
    if not batch.events:
        return metrics
    values: dict[str, Any] = _prepared_values(batch.prepared) if batch.prepared else {}
    for metric in batch.metrics:
        metrics = values["metrics"] = updated_metrics(metrics, metric)
    async with services.transactions.begin() as store:
        await store.job_events.append(job, batch.events)
        if batch.metrics:
            await store.training_points.upsert(job.subject_id, [metric.point for metric in batch.metrics])
        if values:
            await store.finetunes.change(job.subject_id, values)
    return metrics


def _prepared_values(prepared: ItemsPrepared) -> dict[str, Any]:
    values: dict[str, Any] = {
        "trained_item_count": prepared.trained_item_count,
        "warnings": prepared.warnings,
    }
    if prepared.base_model_sha256 is not None:
        values["base_model_sha256"] = prepared.base_model_sha256
    return values


async def _keeps_checkpoint(services: Services, job: Job) -> bool:
    """False when the run was deleted, or cancelled without a checkpoint."""
    try:
        async with services.transactions.read() as store:
            current = await store.jobs.get(job.id, viewer_id=job.owner_id)
    except Unavailable:
        return True
    if current is None:
        return False
    is_cancelled = current.status is JobStatus.CANCELLED
    return not is_cancelled or bool((current.arguments or {}).get(SAVE_CHECKPOINT, True))


async def _publish(services: Services, job: Job, finetune: Finetune, result: TrainingResult) -> Finetune:
    """Store the files, and then record them and the result in one transaction."""
    for file in result.files:
        await record_events(services, job, [Progress(0.99, f"Storing {file.filename}")])
        media_type = MEDIA_TYPES.get(file.path.suffix, BINARY)
        await services.storage.upload(finetune.prefix + file.filename, file.path, media_type)
    async with services.transactions.begin() as store:
        await store.job_events.append(job, [*_parity_lines(result), LogLine("Published.")])
        await store.finetunes.change(finetune.id, _result_values(result))
        await store.finetunes.set_artifacts(finetune.id, [_artifact(file) for file in result.files])
        return await require(store.finetunes, finetune.id, viewer_id=job.owner_id)


def _parity_lines(result: TrainingResult) -> list[Event]:
    """A failed parity, in the log too: the fine-tune is DONE, but its GGUF answers wrongly."""
    if result.parity is None or result.parity.passed:
        return []
    detail = replace_invalid_characters(result.parity.detail or "no detail was given")
    return [LogLine(f"ERROR: the GGUF does not answer as the fine-tuned model did: {detail}")]


def _result_values(result: TrainingResult) -> dict[str, Any]:
    return {
        "model_size_gb": result.model_size_gb,
        "model_size_parameter": result.model_size_parameter,
        "model_dtype": result.model_dtype,
        "model_quantization": result.model_quantization,
        "training_time_seconds": result.training_time_seconds,
        "inference_samples": result.samples,
        "samples_held_out": result.samples_held_out,
        "parity": result.parity,
        "warnings": result.warnings,
    }


def _artifact(file: ProducedFile) -> Artifact:
    return Artifact(**{name: value for name, value in asdict(file).items() if name != "path"})


def _summary(finetune: Finetune) -> dict[str, Any]:
    """The job's result."""
    return {
        "model_name": finetune.model_name,
        "final_train_loss": finetune.metrics.train_loss if finetune.metrics else None,
        "training_time_seconds": finetune.training_time_seconds,
        "parity_passed": finetune.parity.passed if finetune.parity else None,
        "artifacts": sorted(artifact.filename for artifact in finetune.artifacts),
    }
