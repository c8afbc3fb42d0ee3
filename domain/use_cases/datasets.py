"""Use cases of training datasets."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from domain import ids
from domain.conversations import ItemFormat
from domain.datasets import (
    ALWAYS_EDITABLE,
    FIELD_ATTRIBUTES,
    REQUIRED,
    RUN_STATUS_OF_JOB,
    Dataset,
    DatasetOrigin,
    PromptRevision,
    RunStatus,
    fields_of_format,
)
from domain.errors import Conflict
from domain.ids import Noun
from domain.jobs import Job, JobStatus, Runner
from domain.patches import changed_values
from domain.projects import require_active
from domain.reading import require_locked
from domain.store import ReadStore, Store


async def create(
    store: Store, project_id: str, values: Mapping[str, Any], *, viewer_id: str, now: datetime
) -> Dataset:
    """A new dataset of a project, PLANNING and without items; it has the next version number."""
    project = await require_locked(store.projects, project_id, viewer_id=viewer_id)
    require_active(project)
    item_format = values.get("item_format", ItemFormat.PROMPT_COMPLETION)
    given = {name: values[name] for name in FIELD_ATTRIBUTES if values.get(name) is not None}
    attributes = {**values, **fields_of_format(item_format, given)}
    name = attributes.pop("name", None)
    dataset = Dataset(
        id=ids.new(Noun.DATASET),
        project_id=project_id,
        owner_id=viewer_id,
        version=await store.projects.next_version(project_id, Noun.DATASET),
        name=name if name is not None else project.name,
        origin=DatasetOrigin.GENERATED if attributes.get("generate_prompt") else DatasetOrigin.UPLOADED,
        train_share=project.train_eval_split,
        max_tokens=project.max_seq_length,
        created_at=now,
        updated_at=now,
        **attributes,
    ).validated()
    await store.datasets.add(dataset)
    return dataset


async def update(
    store: Store, id: str, patch: Mapping[str, Any], *, viewer_id: str, now: datetime
) -> Dataset:
    """Change name and description at any time, other attributes while the dataset is PLANNING."""
    dataset = await require_locked(store.datasets, id, viewer_id=viewer_id)
    changed = changed_values(dataset, patch, required=REQUIRED)
    restricted = sorted(changed.keys() - ALWAYS_EDITABLE)
    if restricted and (dataset.status is not RunStatus.PLANNING or await is_busy(store, dataset)):
        raise Conflict(
            "Only name and description can be changed once work on the dataset has started.",
            reason="DATASET_NOT_PLANNING",
            field=restricted[0],
        )
    if "generate_prompt" in changed and dataset.generate_prompt is not None:
        await store.datasets.add_revision(id, PromptRevision(dataset.generate_prompt, now))
    dataset = replace(dataset, **changed, updated_at=now).validated()
    await store.datasets.change(id, {name: getattr(dataset, name) for name in (*changed, "updated_at")})
    return dataset


async def is_busy(store: ReadStore, dataset: Dataset) -> bool:
    """Whether the dataset's newest job is not final."""
    latest = await store.jobs.latest([dataset.id], viewer_id=dataset.owner_id)
    return dataset.id in latest and not latest[dataset.id].is_final


async def require_idle(store: ReadStore, dataset: Dataset) -> None:
    """Raise `Conflict` while a job works on the dataset."""
    if dataset.status is RunStatus.RUNNING or await is_busy(store, dataset):
        raise Conflict("A job is working on this dataset.", reason="DATASET_BUSY", field="datasetId")


async def apply_job_status(store: Store, job: Job) -> None:
    """Set a dataset's status from its job's; one that has items stays DONE when an import fails."""
    dataset = await store.datasets.lock(job.subject_id, viewer_id=job.owner_id)
    if dataset is None:
        return
    status = RUN_STATUS_OF_JOB[job.status]
    failed = job.is_final and job.status is not JobStatus.SUCCESS
    if failed and dataset.file_count:
        status = RunStatus.DONE
    values: dict[str, Any] = {"status": status, "error": job.error if failed else None}
    if job.runner is Runner.LOCAL and job.status is JobStatus.SUCCESS:
        values["origin"] = DatasetOrigin.UPLOADED
    await store.datasets.change(dataset.id, values)


async def delete(store: Store, id: str, *, viewer_id: str) -> str:
    """Delete a dataset and its files; fine-tunes keep the items that they were trained on."""
    dataset = await require_locked(store.datasets, id, viewer_id=viewer_id)
    await require_idle(store, dataset)
    await store.background_tasks.delete_files([dataset.prefix])
    await store.datasets.delete(id)
    return id
