"""Use cases of imports: the rows of a document become items of a dataset."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from domain import items
from domain.datasets import Dataset
from domain.documents import Document, DocumentStatus
from domain.files.tables import Table
from domain.imports import ImportFormat, check_importable, column_mapping
from domain.items import Item, ItemOrigin, Source
from domain.jobs import Job, JobType, new_job
from domain.projects import require_active
from domain.reading import require, require_locked, require_locked_in_project
from domain.store import ReadStore, Store
from domain.use_cases import datasets


async def create(
    store: Store,
    dataset_id: str,
    document_id: str,
    format: ImportFormat | None,
    *,
    viewer_id: str,
    now: datetime,
) -> tuple[Dataset, Job]:
    """The job that imports a document into a dataset; it waits while the document is PROCESSING."""
    dataset = await require_locked(store.datasets, dataset_id, viewer_id=viewer_id)
    require_active(await require(store.projects, dataset.project_id, viewer_id=viewer_id))
    await datasets.require_idle(store, dataset)
    document = await require_locked_in_project(
        store.documents, document_id, dataset.project_id, viewer_id=viewer_id
    )
    check_importable(document, format)
    job = new_job(
        JobType.DATASET_IMPORT,
        project_id=dataset.project_id,
        owner_id=viewer_id,
        subject_id=dataset.id,
        now=now,
        arguments={"document_id": document_id, "format": format},
    )
    await store.jobs.add(job)
    if document.status is DocumentStatus.READY:
        await store.jobs.enqueue(job)  # else `documents.apply_job_status` does, once its job has ended
    return dataset, job


async def replay(store: ReadStore, job_id: str, *, viewer_id: str) -> tuple[Dataset, Job]:
    """The dataset as it is now, and the job that an earlier call created; raises `NotFound`."""
    job = await require(store.jobs, job_id, viewer_id=viewer_id)
    return await require(store.datasets, job.subject_id, viewer_id=viewer_id), job


@dataclass(slots=True)
class Import:
    """An import of a table; `rows` counts the rows that were read."""

    dataset: Dataset
    document: Document
    table: Table
    first_position: int
    now: datetime
    rows: int = 0

    def items(self) -> Iterator[Item]:
        """Every row as an item, with a key of document and line, so that a retry inserts it once."""
        headers = column_mapping(self.dataset.field_names, self.table.headers)
        source = Source(document_id=self.document.id, source_document=self.document.filename)
        for row in self.table.rows():
            values = {name: row.values.get(header, "") for name, header in headers.items()}
            position = self.first_position + self.rows
            self.rows += 1
            yield items.new_item(
                self.dataset,
                values,
                key=f"{self.document.id}:{row.line}",
                position=position,
                origin=ItemOrigin.UPLOADED,
                now=self.now,
                source=source,
                problems=row.problems,
                line=row.line,
            )
