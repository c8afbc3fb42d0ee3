"""Reads uploads: the checksum of each, and the preview of a table."""

import asyncio
import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from domain.documents import Document, DocumentKind, DocumentStatus
from domain.errors import Conflict
from domain.files.encoding_detection import DetectedEncoding, detect_encoding
from domain.files.recognition import recognised
from domain.files.tables import open_table
from domain.import_formats import FORMATS
from domain.job_events import Progress
from domain.jobs import Job
from domain.reading import require
from domain.services import Services


async def handle(services: Services, job: Job) -> dict[str, Any] | None:
    """Read the job's document once, from the first byte to the last. It is idempotent."""
    async with services.transactions.read() as store:
        document = await require(store.documents, job.subject_id, viewer_id=job.owner_id)
    await asyncio.to_thread(services.work_folder.mkdir, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=services.work_folder, prefix="document-") as folder:
        path = Path(folder) / "upload"
        stored = await services.storage.head(document.s3_key)
        etag = stored.etag if stored else None
        sha256 = await _fetch(services, document, path, etag)
        read = await asyncio.to_thread(_table_values, services, document, path)
    async with services.transactions.begin() as store:
        await store.job_events.append(job, [Progress(0.99, "The file was read.")])
        await store.documents.change(
            document.id,
            {"status": DocumentStatus.READY, "sha256": sha256, "etag": etag, **read},
            expected=DocumentStatus.PROCESSING,
        )
    preview = read.get("preview")
    return {"sha256": sha256, "rows": preview.row_count if preview else None}


async def _fetch(services: Services, document: Document, path: Path, etag: str | None) -> str:
    """Copy the object with this entity tag to `path`, a chunk at a time; returns its SHA-256 in hex.

    Raises `Conflict` when its size is not that of the completed upload: the upload URL is valid for a while.
    """
    digest, size = hashlib.sha256(), 0
    file = await asyncio.to_thread(path.open, "wb")
    try:
        async for chunk in services.storage.read(document.s3_key, etag=etag):
            size += len(chunk)
            await asyncio.to_thread(digest.update, chunk)
            await asyncio.to_thread(file.write, chunk)
    finally:
        await asyncio.to_thread(file.close)
    if size != document.size_bytes:
        raise Conflict(
            f"The file has {size:,} bytes, but had {document.size_bytes:,} when its upload was completed.",
            reason="FILE_CHANGED",
        )
    return digest.hexdigest()


def _table_values(services: Services, document: Document, path: Path) -> dict[str, Any]:
    """What a table was read as, and its preview; empty for other uploads. Raises `Invalid` for what is no table."""
    if document.kind is not DocumentKind.DATASET_UPLOAD or document.mime_type not in FORMATS:
        return {}
    detected = (
        DetectedEncoding(document.encoding)
        if document.encoding is not None
        else detect_encoding(path, services.guess_encodings)
    )
    table = open_table(path, detected.name, FORMATS[document.mime_type])
    preview = table.preview()
    found = recognised(table)
    return {
        "encoding": detected.name,
        "encoding_readings": detected.stored_readings,
        "preview": preview,
        "import_format": found.import_format,
        "item_format": found.item_format,
    }
