"""Uploads: what may come in, and how it becomes a document that is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from domain import ids, jobs, projects
from domain.documents import Document, DocumentKind, DocumentStatus, Limits, require
from domain.errors import Conflict, DomainError, Invalid, LimitExceeded
from domain.jobs import Job, JobType
from domain.measures import storable
from domain.rules import bounded

if TYPE_CHECKING:
    from domain.store import Store

MEBIBYTE = 1_048_576
TYPES: Mapping[DocumentKind, Mapping[str, tuple[str, ...]]] = {
    DocumentKind.RAW_DOC: {
        "application/pdf": ("pdf",),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ("docx",),
        "text/plain": ("txt", "text", "log"),
        "text/markdown": ("md", "markdown"),
    },
    DocumentKind.DATASET_UPLOAD: {
        "text/csv": ("csv", "tsv"),
        "application/jsonl": ("jsonl", "ndjson"),
        "application/json": ("json",),
        "text/plain": ("txt",),
        "application/vnd.apache.parquet": ("parquet",),
        "application/zip": ("zip",),
    },
}
"""The media types that each kind takes, and the file extensions that tell them where a client says nothing."""

ALIASES = {
    "application/x-ndjson": "application/jsonl",
    "application/x-jsonlines": "application/jsonl",
    "application/vnd.ms-excel": "text/csv",  # what browsers on Windows say of a .csv
    "application/csv": "text/csv",
    "text/tab-separated-values": "text/csv",
    "application/x-parquet": "application/vnd.apache.parquet",
    "application/x-zip-compressed": "application/zip",
}
AMBIGUOUS = frozenset({"", "application/octet-stream", "text/plain", "application/json"})
"""Media types that clients give to many files: the extension knows better."""


def clean_filename(name: str) -> str:
    """The name without its path and without control characters; raises `Invalid` when nothing is left."""
    name = PurePosixPath(storable(name).replace("\\", "/")).name
    name = re.sub(r"[\x00-\x1f\x7f]", "", name).strip()
    if not name or name in {".", ".."}:
        raise Invalid("The file needs a name.", reason="INVALID_FILE_NAME", field="fileName")
    return bounded(name, "fileName", limit=200)


def media_type(kind: DocumentKind, filename: str, declared: str) -> str:
    """The media type that an upload of `kind` is kept under; raises `Invalid` when it may not have it."""
    declared = declared.partition(";")[0].strip().lower()
    declared = ALIASES.get(declared, declared)
    extension = filename.rpartition(".")[2].lower()
    if declared in AMBIGUOUS:
        for known, extensions in TYPES[kind].items():
            if extension in extensions:
                return known
    if declared in TYPES[kind]:
        return declared
    raise Invalid(
        f"The file '{filename}' has the type '{declared or 'unknown'}', which {kind} does not take; "
        f"it takes {', '.join(TYPES[kind])}.",
        reason="UNSUPPORTED_FILE_TYPE",
        field="fileType",
    )


def check_size(size: int, limits: Limits) -> None:
    """Raise `LimitExceeded` when a file is too large, `Invalid` when it is empty."""
    if size > limits.file_bytes:
        raise LimitExceeded(
            f"The file exceeds the maximum size of {limits.file_bytes / MEBIBYTE:g} MB.",
            reason="FILE_TOO_LARGE",
            field="sizeBytes",
            context={"limitBytes": limits.file_bytes},
        )
    if size <= 0:
        raise Invalid("The file is empty.", reason="FILE_EMPTY", field="sizeBytes")


def check_room(size: int, present: int, limits: Limits) -> None:
    """Raise `LimitExceeded` when a project has no room for `size` more bytes."""
    if present + size > limits.project_bytes:
        raise LimitExceeded(
            f"The project's files would exceed {limits.project_bytes / MEBIBYTE:g} MB.",
            reason="PROJECT_FULL",
            field="sizeBytes",
            context={"limitBytes": limits.project_bytes, "presentBytes": present},
        )


async def announce(
    store: "Store",
    document: Document,
    *,
    limits: Limits,
    viewer_id: str,
) -> Document:
    """Keep a document whose bytes are still to come; `size_bytes` is 0 where nobody said how many."""
    project = await projects.require_locked(store, document.project_id, viewer_id=viewer_id)
    projects.require_active(project)
    if document.size_bytes:
        check_size(document.size_bytes, limits)
        check_room(document.size_bytes, await store.documents.total_bytes(project.id), limits)
    await store.documents.add(document)
    return document


def new(
    project_id: str, filename: str, declared_type: str, kind: DocumentKind, size: int | None, *, now: datetime
) -> Document:
    """A document of a file that a client names; raises `Invalid` when it cannot be one."""
    filename = clean_filename(filename)
    if size is not None and size <= 0:
        raise Invalid("The file is empty.", reason="FILE_EMPTY", field="sizeBytes")
    return Document(
        id=ids.new("Document"),
        project_id=project_id,
        filename=filename,
        kind=kind,
        mime_type=media_type(kind, filename, declared_type),
        size_bytes=size or 0,
        created_at=now,
    )


def check_key(document: Document, s3_key: str) -> None:
    """Raise `Invalid` when a client completes another upload than it began."""
    if s3_key != document.s3_key:
        raise Invalid(
            "This is not the key that the upload was begun with.", reason="S3_KEY_MISMATCH", field="s3Key"
        )


def not_uploaded() -> Conflict:
    """What is said when the bytes are not there."""
    return Conflict(
        "Nothing was uploaded under this key; PUT the bytes to the upload's URL first.",
        reason="NOT_UPLOADED",
        field="s3Key",
    )


async def complete(
    store: "Store", document_id: str, size: int, *, limits: Limits, viewer_id: str, now: datetime
) -> tuple[Document, Job] | DomainError:
    """The bytes are there: have them read. The second call gives the same document and job.

    Bytes that may not stay are deleted and the document is FAILED: that is to be committed, so the refusal is
    returned and not raised.
    """
    document = await require(store, document_id, viewer_id=viewer_id)
    await projects.require_locked(store, document.project_id, viewer_id=viewer_id)
    document = await store.documents.lock(document_id, viewer_id=viewer_id) or document
    if document.status is not DocumentStatus.PENDING_UPLOAD:
        return await completed(store, document, viewer_id=viewer_id)
    try:
        check_size(size, limits)
        present = await store.documents.total_bytes(document.project_id) - document.size_bytes
        check_room(size, present, limits)
    except (Invalid, LimitExceeded) as refusal:
        await _refuse(store, document, refusal)
        return refusal
    job = await _read(store, document, size, viewer_id=viewer_id, now=now)
    return await require(store, document.id, viewer_id=viewer_id), job


async def completed(store: "Store", document: Document, *, viewer_id: str) -> tuple[Document, Job]:
    """What an earlier completion made; raises `Conflict` when it was refused."""
    job = (await store.jobs.latest([document.id], viewer_id=viewer_id)).get(document.id)
    if job is None:
        raise Conflict(f"The upload was refused: {document.error}", reason="UPLOAD_REFUSED")
    return document, job


async def _refuse(store: "Store", document: Document, refusal: DomainError) -> None:
    values = {"status": DocumentStatus.FAILED, "error": refusal.message, "size_bytes": 0}
    await store.documents.change(document.id, values, expected=DocumentStatus.PENDING_UPLOAD)
    await store.chores.delete_files([document.prefix])


async def receive(
    store: "Store",
    project_id: str,
    uploads: Sequence[Document],
    *,
    limits: Limits,
    viewer_id: str,
    now: datetime,
) -> list[Document]:
    """Keep uploads whose bytes are in storage already and have them read, all of them or none."""
    project = await projects.require_locked(store, project_id, viewer_id=viewer_id)
    projects.require_active(project)
    check_room(sum(it.size_bytes for it in uploads), await store.documents.total_bytes(project_id), limits)
    for document in uploads:
        check_size(document.size_bytes, limits)
        await store.documents.add(document)
        await _read(store, document, document.size_bytes, viewer_id=viewer_id, now=now)
    return [replace(it, status=DocumentStatus.PROCESSING) for it in uploads]


async def _read(store: "Store", document: Document, size: int, *, viewer_id: str, now: datetime) -> Job:
    """Have a worker read a document whose bytes are there."""
    await store.documents.change(
        document.id,
        {"status": DocumentStatus.PROCESSING, "size_bytes": size},
        expected=DocumentStatus.PENDING_UPLOAD,
    )
    job = jobs.new(
        JobType.DOCUMENT_READ,
        project_id=document.project_id,
        owner_id=viewer_id,
        subject_id=document.id,
        now=now,
    )
    await store.jobs.add(job)
    await store.jobs.enqueue(job)
    return job
