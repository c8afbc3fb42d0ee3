"""Imports the rows of an upload as the items of a dataset, all of them or none."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from domain.datasets import Dataset
from domain.documents import Document, DocumentStatus
from domain.errors import Conflict, Invalid
from domain.files.item_rows import ignored_keys
from domain.hashes import sha256_of_file
from domain.imports import document_failed_error
from domain.item_problems import ProblemCode
from domain.items import Item
from domain.job_events import Progress
from domain.jobs import Job
from domain.ports.storage import ObjectChanged
from domain.reading import require, require_locked
from domain.services import Services
from domain.store import ReadStore, Store
from domain.use_cases.imports import Import
from workers.dispatcher import record_events
from workers.import_opening import open_import

BATCH = 500
"""Rows that are read together, on a thread."""
ROWS_PER_PROGRESS = 5_000
"""Rows between two progress events."""


async def handle(services: Services, job: Job) -> dict[str, Any]:
    """Import the job's document; the result counts its rows, valid, invalid and duplicate ones."""
    dataset, document = await _subject(services, job)
    await asyncio.to_thread(services.work_folder.mkdir, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=services.work_folder, prefix="import-") as folder:
        path = Path(folder) / "table"
        await services.storage.download(document.s3_key, path)
        if (
            await asyncio.to_thread(sha256_of_file, path) != document.sha256
        ):  # the upload URL is valid for a while
            raise ObjectChanged
        work = await asyncio.to_thread(open_import, services, job, dataset, document, path)
        async with services.transactions.begin() as store:
            return await _import(services, store, job, work)


async def _subject(services: Services, job: Job) -> tuple[Dataset, Document]:
    """The dataset, whose fields stay while the job is not over, and the document to import.

    Raises `Conflict` when the document was not or could not be read, `NotFound` when either is deleted.
    """
    document_id = (job.arguments or {})["document_id"]
    async with services.transactions.read() as store:
        dataset = await require(store.datasets, job.subject_id, viewer_id=job.owner_id)
        document = await require(store.documents, document_id, viewer_id=job.owner_id)
    if document.status is DocumentStatus.FAILED:
        raise document_failed_error(document)
    if document.status is not DocumentStatus.READY:
        raise Conflict("The document was not read yet.", reason="NOT_READY")
    return dataset, document


async def _import(services: Services, store: Store, job: Job, work: Import) -> dict[str, Any]:
    """Add, recompute and count in the caller's transaction.

    The rows are added before anything is locked. Then the job is locked before the dataset, in the order
    of a cancellation: a cancelled or superseded worker commits nothing and blocks no one.
    """
    work.first_position = await store.items.next_position(work.dataset.id)
    await store.items.add_many(_items(services, job, work))
    if not work.rows:
        raise Invalid("The file has a header but no rows.", reason="TABLE_EMPTY")
    await store.job_events.append(job, [Progress(0.95, f"{work.rows:,} rows read; looking for duplicates")])
    dataset = await require_locked(store.datasets, work.dataset.id, viewer_id=job.owner_id)
    await store.items.recompute(dataset)
    await store.datasets.link(dataset.id, work.document.id, work.document.size_bytes)
    return await _counts(store, job, work)


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


async def _counts(store: ReadStore, job: Job, work: Import) -> dict[str, Any]:
    """Counts of the document's rows, from this import and earlier ones; `unguarded` and `ignored` are of this import alone."""
    found = await store.items.stats([job.subject_id], document_id=work.document.id, viewer_id=job.owner_id)
    stats = found[job.subject_id]
    duplicates = dict(stats.problems).get(ProblemCode.DUPLICATE, 0)
    return {
        "encoding": work.encoding,
        "format": work.recognised.import_format,
        "item_format": work.recognised.item_format,
        "rows": work.rows,
        "valid": stats.valid,
        "invalid": stats.invalid,
        "duplicates": duplicates,
        "unguarded": work.source.unguarded,
        "ignored": ignored_keys(work.source.ignored),
    }
