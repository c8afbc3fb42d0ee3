"""Use cases of status updates by external workers."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from domain.datasets import DatasetOrigin, RunStatus
from domain.finetunes import Artifact, ArtifactKind, Finetune, updated_metrics
from domain.job_events import Event, LogLine, Metric, Progress
from domain.jobs import Job, JobStatus, Runner
from domain.ports.storage import Storage
from domain.reading import require, require_locked
from domain.status_updates import (
    ReportedArtifact,
    ReportedResult,
    StatusUpdate,
    check_transition,
    unprocessable_error,
)
from domain.store import Store
from domain.use_cases import finetunes, job_lifecycle


async def update_dataset(
    store: Store, id: str, update: StatusUpdate, *, owner_id: str, now: datetime
) -> bool:
    """Apply a status update to a dataset; True when it is DONE now, and its results are to be loaded."""
    status = update.status
    dataset = await require_locked(store.datasets, id, viewer_id=owner_id)
    latest = (await store.jobs.latest([id], viewer_id=owner_id)).get(id)
    is_external = latest is None or latest.runner is Runner.EXTERNAL
    if not check_transition(dataset.status, status, is_external=is_external):
        return False
    values: dict[str, Any] = {"status": status, "error": update.error if status is RunStatus.FAILED else None}
    if status is RunStatus.DONE:
        values |= {"origin": DatasetOrigin.GENERATED, "generate_model_runner": str(Runner.EXTERNAL)}
    await store.datasets.change(id, {**values, "updated_at": now})
    return status is RunStatus.DONE


async def stored_artifacts(storage: Storage, finetune: Finetune, result: ReportedResult) -> list[Artifact]:
    """The reported files as artifacts, and the model's file also when it is not reported.

    Raises `Invalid` when a reported file is not in storage.
    """
    artifacts = [await _stored(storage, finetune, file) for file in result.files]
    if not any(finetune.prefix + artifact.filename == finetune.gguf_key for artifact in artifacts):
        artifacts += await _unreported_model(storage, finetune)
    return [_with_quantization(finetune, artifact, result) for artifact in artifacts]


async def _stored(storage: Storage, finetune: Finetune, file: ReportedArtifact) -> Artifact:
    stored = await storage.head(finetune.prefix + file.filename)
    if stored is None:
        raise unprocessable_error(
            f"The file {file.filename} is not in storage; put it under {finetune.prefix} before DONE is reported.",
            "result.artifacts",
        )
    return Artifact(
        filename=file.filename, kind=file.kind, size_bytes=stored.size, sha256=file.sha256.lower()
    )


async def _unreported_model(storage: Storage, finetune: Finetune) -> list[Artifact]:
    """The model's file, if it is in storage; it is read once for its checksum."""
    stored = await storage.head(finetune.gguf_key)
    if stored is None:
        return []
    digest = hashlib.sha256()
    async for chunk in storage.read(finetune.gguf_key):
        digest.update(chunk)
    return [
        Artifact(
            filename=finetune.gguf_key.removeprefix(finetune.prefix),
            kind=ArtifactKind.GGUF,
            size_bytes=stored.size,
            sha256=digest.hexdigest(),
        )
    ]


def _with_quantization(finetune: Finetune, artifact: Artifact, result: ReportedResult) -> Artifact:
    """The artifact; a GGUF with its quantization, from the update or from its file name."""
    if finetune.prefix + artifact.filename == finetune.gguf_key:
        return replace(artifact, quantization=result.model_quantization)
    model, name = finetune.gguf_key.removesuffix("gguf"), finetune.prefix + artifact.filename
    is_other = artifact.kind is ArtifactKind.GGUF and name.startswith(model) and name.endswith(".gguf")
    return replace(artifact, quantization=name[len(model) : -len(".gguf")]) if is_other else artifact


async def update_finetune(
    store: Store, id: str, update: StatusUpdate, artifacts: Sequence[Artifact], *, owner_id: str
) -> Finetune:
    """Apply a status update to a fine-tune; a repeated final update changes nothing.

    Locks the job before the fine-tune, as the workers do. Raises `Conflict` when the transition is not allowed,
    `Superseded` when the job ended meanwhile: the caller tries again.
    """
    finetune, job = await finetunes.require_with_job(store, id, viewer_id=owner_id)
    is_external = job.runner is Runner.EXTERNAL
    if not check_transition(finetune.status, update.status, is_external=is_external):
        return finetune
    if job.status is JobStatus.QUEUED:
        job = await job_lifecycle.start_external(store, job)
    finetune = await _record_progress(store, finetune, job, update)
    await _finish(store, finetune, job, update, artifacts)
    return await require(store.finetunes, id, viewer_id=owner_id)


async def _record_progress(store: Store, finetune: Finetune, job: Job, update: StatusUpdate) -> Finetune:
    metric = _with_total_steps(finetune, update.metric)
    events = [*map(LogLine, update.logs), *([metric] if metric else []), *_progress(job, update)]
    if events:
        await store.job_events.append(job, events)
    if metric is None:
        return finetune
    metrics = updated_metrics(finetune.metrics, metric)
    await store.training_points.upsert(finetune.id, [metric.point])
    await store.finetunes.change(finetune.id, {"metrics": metrics})
    return replace(finetune, metrics=metrics)


def _with_total_steps(finetune: Finetune, metric: Metric | None) -> Metric | None:
    if metric is None or metric.total_steps:
        return metric
    total_steps = finetune.metrics.total_steps if finetune.metrics else 0
    return replace(metric, total_steps=max(total_steps, metric.point.step))


def _progress(job: Job, update: StatusUpdate) -> list[Event]:
    if update.progress is None and update.current_step is None:
        return []
    progress = job.progress if update.progress is None else update.progress
    return [Progress(progress, update.current_step or job.message or "")]


async def _finish(
    store: Store, finetune: Finetune, job: Job, update: StatusUpdate, artifacts: Sequence[Artifact]
) -> None:
    if update.status is RunStatus.FAILED:
        await job_lifecycle.fail(store, job, update.error or "The external worker reported a failure.")
    if update.status is RunStatus.DONE:
        await store.finetunes.change(finetune.id, _result_values(update.result))
        await store.finetunes.set_artifacts(finetune.id, artifacts)
        await job_lifecycle.succeed(store, job, _job_result(finetune, update.result, artifacts))


def _result_values(result: ReportedResult) -> dict[str, Any]:
    return {
        "model_size_gb": result.model_size_gb,
        "model_size_parameter": result.model_size_parameter,
        "model_dtype": result.model_dtype,
        "model_quantization": result.model_quantization,
        "training_time_seconds": result.training_time_seconds,
        "inference_samples": result.samples,
    }


def _job_result(finetune: Finetune, result: ReportedResult, artifacts: Sequence[Artifact]) -> dict[str, Any]:
    return {
        "model_name": finetune.model_name,
        "final_train_loss": finetune.metrics.train_loss if finetune.metrics else None,
        "training_time_seconds": result.training_time_seconds,
        "artifacts": sorted(artifact.filename for artifact in artifacts),
    }
