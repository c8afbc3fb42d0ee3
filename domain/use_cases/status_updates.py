"""Use cases of status updates by external workers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from domain.artifacts import Artifact
from domain.datasets import DatasetOrigin, RunStatus
from domain.finetunes import Finetune, updated_metrics
from domain.job_events import Event, LogLine, Metric, Progress
from domain.jobs import Job, JobStatus, Runner
from domain.reading import require, require_locked
from domain.status_updates import ReportedResult, StatusUpdate, check_transition
from domain.store import ReadStore, Store
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


async def check_done(store: ReadStore, id: str, *, owner_id: str) -> bool:
    """Whether DONE would change a fine-tune; raises `Conflict` when the transition is not allowed."""
    finetune, job = await finetunes.require_with_job(store, id, viewer_id=owner_id)
    is_external = job.runner is Runner.EXTERNAL
    return check_transition(finetune.status, RunStatus.DONE, is_external=is_external)


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
