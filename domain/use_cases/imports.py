"""Use cases of imports: the rows of a document become items of a dataset."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from domain import items
from domain.datasets import Dataset
from domain.documents import Document, DocumentStatus
from domain.files.item_rows import ItemRows
from domain.files.recognition import Recognised, headers_of_fields
from domain.import_formats import ImportFormat
from domain.imports import ImportOptions, check_importable
from domain.items import Item, ItemOrigin, Source, TableRow
from domain.jobs import Job, JobType, new_job
from domain.projects import require_active
from domain.reading import require, require_locked, require_locked_in_project
from domain.store import ReadStore, Store
from domain.use_cases import datasets


async def create(
    store: Store,
    dataset_id: str,
    document_id: str,
    options: ImportOptions,
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
    check_importable(document, options.format)
    options = options.validated(dataset.field_names)
    _check_readable(dataset, document, options)
    job = new_job(
        JobType.DATASET_IMPORT,
        project_id=dataset.project_id,
        owner_id=viewer_id,
        subject_id=dataset.id,
        now=now,
        arguments={"document_id": document_id, **options.as_arguments()},
    )
    await store.jobs.add(job)
    if document.status is DocumentStatus.READY:
        await store.jobs.enqueue(job)  # else `documents.apply_job_status` does, once its job has ended
    return dataset, job


def _check_readable(dataset: Dataset, document: Document, options: ImportOptions) -> None:
    """Raise `Invalid` for what is known to fail of a document that was read: its encoding, its format, its columns."""
    if document.encoding is None or document.status is not DocumentStatus.READY:
        return
    encoding = options.encoding_of(document, dataset.language_iso)
    if document.preview is None or options.format is not None or encoding != document.encoding:
        return
    if document.import_format is not None and document.item_format is not None:
        format = ImportFormat.JSONL if options.columns else document.import_format  # any that has columns
        found = Recognised(format, document.item_format)
        headers_of_fields(dataset, found, document.preview, options)


async def replay(store: ReadStore, job_id: str, *, viewer_id: str) -> tuple[Dataset, Job]:
    """The dataset as it is now, and the job that an earlier call created; raises `NotFound`."""
    job = await require(store.jobs, job_id, viewer_id=viewer_id)
    return await require(store.datasets, job.subject_id, viewer_id=viewer_id), job


@dataclass(slots=True)
class Import:
    """An import of a table, of which `source` reads the rows; `rows` counts those that were read."""

    dataset: Dataset
    document: Document
    source: ItemRows
    recognised: Recognised
    encoding: str
    key_prefix: str
    now: datetime
    first_position: int = 0
    rows: int = 0

    def items(self) -> Iterator[Item]:
        """Every row as an item, with a key of document and line, so that a retry inserts it once."""
        source = Source(document_id=self.document.id, source_document=self.document.filename)
        for key, row in self._keyed(self.source.rows()):
            position = self.first_position + self.rows
            self.rows += 1
            yield items.new_item(
                self.dataset,
                dict(zip(self.dataset.field_names, row.values, strict=True)),
                key=key,
                position=position,
                origin=ItemOrigin.UPLOADED,
                now=self.now,
                source=source,
                problems=row.problems,
                line=row.line,
            )

    def _keyed(self, rows: Iterator[TableRow]) -> Iterator[tuple[str, TableRow]]:
        """Rows with their keys; of several JSON objects on one line, all but the first have a number of their own."""
        line, number = 0, 0
        for row in rows:
            line, number = row.line, number + 1 if row.line == line else 0
            yield f"{self.key_prefix}:{line}" + (f".{number}" if number else ""), row
