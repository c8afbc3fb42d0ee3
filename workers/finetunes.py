"""Training: the frozen items go to the training process, what it says to the job, what it leaves to storage."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from domain.datasets import Dataset
from domain.errors import DomainError, Invalid, Unavailable
from domain.finetunes import SAVE_CHECKPOINT, Artifact, Finetune, TrainingMetrics, updated_metrics
from domain.ids import Noun
from domain.items import Item
from domain.job_events import Event, LogLine, Metric, Progress
from domain.jobs import Job, JobStatus, Superseded
from domain.ports.trainer import ProducedFile, TrainingFailed, TrainingReport, TrainingResult, TrainingRun
from domain.reading import missing, require
from domain.services import Services
from workers.base import report
from workers.batches import Batches

FLUSH_S = 0.2
"""At most five transactions a second, however small the steps are."""
LINES = 500
"""Items that are written at once, on a thread of their own."""
BINARY, JSON, TEXT = "application/octet-stream", "application/json", "text/markdown; charset=utf-8"
MEDIA_TYPES = {".json": JSON, ".md": TEXT}


async def handle(services: Services, job: Job) -> dict[str, Any]:
    """Train the job's fine-tune and publish what that leaves; a second run goes on where the first one was."""
    finetune, dataset = await _subject(services, job)
    if refusal := services.trainer.refusal(finetune.method):
        raise Invalid(refusal, reason="METHOD_UNAVAILABLE")
    folder = services.work_folder / finetune.id
    if finetune.gguf is None:  # else an earlier attempt was cut short right before its end
        try:
            result = await _train(services, job, finetune, await _run(services, finetune, dataset, folder))
            finetune = await _publish(services, job, finetune, result)
        except TrainingFailed as error:
            raise Invalid(_clean(str(error)), reason="TRAINING_FAILED") from error
        except (asyncio.CancelledError, Superseded):
            if not await _is_wanted(services, job):
                await _clear(services, finetune)
            raise
    await forget(services, finetune.id)
    return _summary(finetune)


async def forget(services: Services, finetune_id: str) -> None:
    """Delete what this machine keeps of a fine-tune: its items, checkpoints and files not in storage."""
    await asyncio.to_thread(shutil.rmtree, services.work_folder / finetune_id, ignore_errors=True)


async def _clear(services: Services, finetune: Finetune) -> None:
    """Leave nothing of a run that nobody wants; files that were stored have no other owner than this."""
    await forget(services, finetune.id)
    with suppress(DomainError):
        await services.storage.delete(finetune.prefix)


async def _subject(services: Services, job: Job) -> tuple[Finetune, Dataset]:
    """What is trained, and the dataset that its items are of, which may be deleted by now."""
    async with services.transactions.begin() as store:
        finetune = await require(store.finetunes, job.subject_id, viewer_id=job.owner_id)
        found = await store.datasets.referred([finetune.dataset_id], viewer_id=job.owner_id)
    if finetune.dataset_id not in found:
        raise missing(Noun.DATASET, finetune.dataset_id)
    return finetune, found[finetune.dataset_id]


async def _run(services: Services, finetune: Finetune, dataset: Dataset, folder: Path) -> TrainingRun:
    """The run, with its items written down."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    path = folder / "items.jsonl"
    async with services.transactions.begin() as store:
        lines = (_line(dataset, item) async for item in store.frozen_items.stream(finetune.id))
        await _write(path, lines)
    return TrainingRun(
        finetune_id=finetune.id,
        model_name=finetune.model_name,
        base_model_name=finetune.base_model_name,
        method=finetune.method,
        hyperparameters=finetune.hyperparameters,
        seed=finetune.seed,
        items_path=path,
        folder=folder,
    )


def _line(dataset: Dataset, item: Item) -> str:
    data = dict(zip(dataset.field_names, item.values, strict=True))
    record = {
        "id": item.id,
        "input": data[dataset.input_field],
        "output": data[dataset.output_field],
        "split": item.split,
    }
    return json.dumps(record, ensure_ascii=False) + "\n"


async def _write(path: Path, lines: AsyncIterator[str]) -> None:
    """Write a text file, whole or not at all, with a bounded part of it in memory."""
    partial, waiting = path.with_suffix(".partial"), list[str]()
    file = await asyncio.to_thread(partial.open, "w", encoding="utf-8", newline="\n")
    try:
        async for line in lines:
            waiting.append(line)
            if len(waiting) == LINES:
                await asyncio.to_thread(file.writelines, waiting)
                waiting = []
        await asyncio.to_thread(file.writelines, waiting)
    finally:
        await asyncio.to_thread(file.close)
    await asyncio.to_thread(partial.replace, path)


async def _train(services: Services, job: Job, finetune: Finetune, run: TrainingRun) -> TrainingResult:
    """Follow the training process to its result, and record what it says on the way.

    However this ends early, the process keeps a checkpoint, unless nobody wants one.
    """
    metrics, result = finetune.metrics, None
    async with Batches(services.trainer.train(run), FLUSH_S) as batches:
        try:
            async for batch in batches:
                events, results = _sorted(batch)
                metrics = await _record(services, job, events, metrics)
                result = results[-1] if results else result
        except (asyncio.CancelledError, Superseded):
            batches.at_once = not await _is_wanted(services, job)
            raise
    if result is None:
        raise TrainingFailed("The training process ended without a result.")
    return result


def _sorted(batch: Iterable[TrainingReport]) -> tuple[list[Event], list[TrainingResult]]:
    """The events of a batch, of which only the newest progress counts, and the result if it is there."""
    events: list[Event] = []
    results: list[TrainingResult] = []
    for each in batch:
        if isinstance(each, TrainingResult):
            results.append(each)
        else:
            if isinstance(each, Progress):
                events = [it for it in events if not isinstance(it, Progress)]
            events.append(LogLine(_clean(each.line)) if isinstance(each, LogLine) else each)
    return events, results


def _clean(text: str) -> str:
    """A text that PostgreSQL can hold: a log may have anything in it."""
    return text.replace("\x00", "\ufffd")


async def _record(
    services: Services, job: Job, events: list[Event], metrics: TrainingMetrics | None
) -> TrainingMetrics | None:
    """Record events, and the curve with them, in one short transaction; the newest metrics."""
    if not events:
        return metrics
    new = [event for event in events if isinstance(event, Metric)]
    for metric in new:
        metrics = updated_metrics(metrics, metric)
    async with services.transactions.begin() as store:
        await store.job_events.append(job, events)
        if new:
            await store.training_points.add(job.subject_id, [metric.point for metric in new])
            await store.finetunes.change(job.subject_id, {"metrics": metrics})
    return metrics


async def _is_wanted(services: Services, job: Job) -> bool:
    """Whether a checkpoint is worth keeping: not where the run is gone, or was cancelled without one."""
    try:
        async with services.transactions.begin() as store:
            current = await store.jobs.get(job.id, viewer_id=job.owner_id)
    except Unavailable:
        return True
    if current is None:
        return False
    is_cancelled = current.status is JobStatus.CANCELLED
    return not is_cancelled or bool((current.arguments or {}).get(SAVE_CHECKPOINT, True))


async def _publish(services: Services, job: Job, finetune: Finetune, result: TrainingResult) -> Finetune:
    """Put the files into storage, and then all that is known about them into one transaction."""
    for file in result.files:
        await report(services, job, [Progress(0.99, f"Storing {file.filename}")])
        media_type = MEDIA_TYPES.get(file.path.suffix, BINARY)
        await services.storage.upload(finetune.prefix + file.filename, file.path, media_type)
    async with services.transactions.begin() as store:
        await store.job_events.append(job, [*_parity_lines(result), LogLine("Published.")])
        await store.finetunes.change(finetune.id, _known(result))
        await store.finetunes.set_artifacts(finetune.id, [_artifact(file) for file in result.files])
        return await require(store.finetunes, finetune.id, viewer_id=job.owner_id)


def _parity_lines(result: TrainingResult) -> list[Event]:
    """Said out loud: a model that answers otherwise than it was trained to is the worst kind of success."""
    if result.parity is None or result.parity.passed:
        return []
    detail = _clean(result.parity.detail or "no detail was given")
    return [LogLine(f"ERROR: the GGUF does not answer as the trained model did: {detail}")]


def _known(result: TrainingResult) -> dict[str, Any]:
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
    """The job's result, in figures."""
    return {
        "model_name": finetune.model_name,
        "final_train_loss": finetune.metrics.train_loss if finetune.metrics else None,
        "training_time_seconds": finetune.training_time_seconds,
        "parity_passed": finetune.parity.passed if finetune.parity else None,
        "artifacts": sorted(it.filename for it in finetune.artifacts),
    }
