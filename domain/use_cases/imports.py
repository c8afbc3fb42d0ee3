"""Making the rows of an upload into the items of a dataset."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from domain import items
from domain.datasets import Dataset
from domain.documents import Document, DocumentStatus
from domain.files.tables import Table
from domain.ids import Noun
from domain.imports import ImportFormat, check_importable, columns
from domain.items import Item, ItemOrigin, Source
from domain.jobs import Job, JobType, new_job
from domain.projects import require_active
from domain.reading import missing, require, require_locked
from domain.store import Store
from domain.use_cases import datasets


async def begin(
    store: Store,
    dataset_id: str,
    document_id: str,
    format: ImportFormat | None,
    *,
    viewer_id: str,
    now: datetime,
) -> tuple[Dataset, Job]:
    """Have a document's rows made into items; waits for a document that is still being read."""
    dataset = await require_locked(store.datasets, dataset_id, viewer_id=viewer_id)
    require_active(await require(store.projects, dataset.project_id, viewer_id=viewer_id))
    await datasets.require_idle(store, dataset)
    document = await store.documents.lock(document_id, viewer_id=viewer_id)
    if document is None or document.project_id != dataset.project_id:
        raise missing(Noun.DOCUMENT, document_id)
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
        await store.jobs.enqueue(job)  # else `documents.apply_job_status` does, once the document is read
    return dataset, job


async def again(store: Store, job_id: str, *, viewer_id: str) -> tuple[Dataset, Job]:
    """What an earlier call began: the dataset as it is now, and that call's job; raises `NotFound`."""
    job = await require(store.jobs, job_id, viewer_id=viewer_id)
    return await require(store.datasets, job.subject_id, viewer_id=viewer_id), job


@dataclass(slots=True)
class Import:
    """One import under way: its rows as items, and how many there were so far."""

    dataset: Dataset
    document: Document
    table: Table
    first_position: int
    now: datetime
    rows: int = 0

    def items(self) -> Iterator[Item]:
        """Every row as an item, keyed by document and line: read again, it is the same item."""
        header_of = columns(self.dataset.field_names, self.table.headers)
        source = Source(document_id=self.document.id, source_document=self.document.filename)
        for row in self.table.rows():
            values = {name: row.values.get(header, "") for name, header in header_of.items()}
            position = self.first_position + self.rows
            self.rows += 1
            yield items.make(
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
