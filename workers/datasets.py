"""Imports the rows of an upload as the items of a dataset, all of them or none."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from domain import imports
from domain.documents import Document, DocumentStatus
from domain.errors import Conflict, Invalid
from domain.files.tables import Table, open_table
from domain.hashes import sha256_of_file
from domain.imports import ImportFormat
from domain.items import Item, ProblemCode
from domain.job_events import Progress
from domain.jobs import Job
from domain.ports.storage import ObjectChanged
from domain.reading import require, require_locked
from domain.services import Services
from domain.store import ReadStore, Store
from domain.use_cases.imports import Import
from workers.dispatcher import record_events

BATCH = 500
"""Rows that are read together, on a thread."""
ROWS_PER_PROGRESS = 5_000
"""Rows between two progress events."""


async def handle(services: Services, job: Job) -> dict[str, Any]:
    """Import the job's document; the result counts its rows, valid, invalid and duplicate ones."""
    document = await _document(services, job)
    await asyncio.to_thread(services.work_folder.mkdir, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=services.work_folder, prefix="import-") as folder:
        path = Path(folder) / "table"
        await services.storage.download(document.s3_key, path)
        if (
            await asyncio.to_thread(sha256_of_file, path) != document.sha256
        ):  # the upload URL is valid for a while
            raise ObjectChanged
        table = await asyncio.to_thread(_open, services, document, job, path)
        async with services.transactions.begin() as store:
            return await _import(services, store, job, document, table)


async def _document(services: Services, job: Job) -> Document:
    """The document to import. Raises `Conflict` when it was not or could not be read, `NotFound` when it is deleted."""
    document_id = (job.arguments or {})["document_id"]
    async with services.transactions.read() as store:
        document = await require(store.documents, document_id, viewer_id=job.owner_id)
    if document.status is DocumentStatus.FAILED:
        raise imports.document_failed_error(document)
    if document.status is not DocumentStatus.READY:
        raise Conflict("The document was not read yet.", reason="NOT_READY")
    return document


def _open(services: Services, document: Document, job: Job, path: Path) -> Table:
    name = (job.arguments or {}).get("format")
    format = imports.file_format(document, ImportFormat(name) if name else None, path)
    return open_table(path, format.value, detect_encoding=services.detect_encoding)


async def _import(
    services: Services, store: Store, job: Job, document: Document, table: Table
) -> dict[str, Any]:
    """Load, recompute and count in the caller's transaction.

    The rows are loaded before anything is locked. Then the job is locked before the dataset, in the order
    of a cancellation: a cancelled or superseded worker commits nothing and blocks no one.
    """
    dataset = await require(store.datasets, job.subject_id, viewer_id=job.owner_id)
    position = await store.items.next_position(dataset.id)
    work = Import(dataset, document, table, position, services.now())
    await store.items.load(_items(services, job, work))
    if not work.rows:
        raise Invalid("The file has a header but no rows.", reason="TABLE_EMPTY")
    await store.job_events.append(job, [Progress(0.95, f"{work.rows:,} rows read; looking for duplicates")])
    dataset = await require_locked(store.datasets, dataset.id, viewer_id=job.owner_id)
    await store.items.recompute(dataset)
    await store.datasets.link(dataset.id, document.id, document.size_bytes)
    return await _counts(store, job, document, work.rows)


async def _items(services: Services, job: Job, work: Import) -> AsyncIterator[Item]:
    """The rows as items, read a batch at a time, with progress events between them."""
    items, reported = work.items(), 0
    while batch := await asyncio.to_thread(_next, items):
        for item in batch:
            yield item
        if work.rows - reported >= ROWS_PER_PROGRESS:
            reported = work.rows
            await record_events(services, job, [_progress(work)])


def _next(items: Iterator[Item]) -> list[Item]:
    return list(islice(items, BATCH))


def _progress(work: Import) -> Progress:
    """The share of the rows that are read, out of those that the preview counted."""
    expected = work.document.preview.row_count if work.document.preview else 0
    share = min(work.rows / expected, 1.0) if expected else 0.0
    return Progress(round(0.9 * share, 4), f"{work.rows:,} rows read")


async def _counts(store: ReadStore, job: Job, document: Document, rows: int) -> dict[str, Any]:
    """Counts of the document's rows, from this import and earlier ones."""
    found = await store.items.stats([job.subject_id], document_id=document.id, viewer_id=job.owner_id)
    stats = found[job.subject_id]
    duplicates = dict(stats.problems).get(ProblemCode.DUPLICATE, 0)
    return {"rows": rows, "valid": stats.valid, "invalid": stats.invalid, "duplicates": duplicates}
