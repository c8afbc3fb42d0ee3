"""Use cases of documents."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from domain.documents import Document, DocumentStatus, UploadLimits, check_file_size, check_project_quota
from domain.errors import Conflict, DomainError, Invalid, LimitExceeded
from domain.jobs import Job, JobStatus, JobType, new_job
from domain.projects import require_active
from domain.reading import require, require_locked
from domain.store import ReadStore, Store


async def apply_job_status(store: Store, job: Job) -> None:
    """Set a document FAILED when its job failed; enqueue the imports that waited for the job to end."""
    if not job.is_final:
        return
    if job.status is not JobStatus.SUCCESS:
        error = job.error or "Reading the document was cancelled."
        await store.documents.change(
            job.subject_id,
            {"status": DocumentStatus.FAILED, "error": error},
            expected=DocumentStatus.PROCESSING,
        )
    for queued in await store.jobs.queued_imports_of(job.subject_id):
        await store.jobs.enqueue(queued)


async def delete(store: Store, id: str, *, viewer_id: str) -> str:
    """Delete a document and its bytes; items that were imported from it stay and keep its file name."""
    project_id = (await require(store.documents, id, viewer_id=viewer_id)).project_id
    await require_locked(store.projects, project_id, viewer_id=viewer_id)
    document = await require_locked(store.documents, id, viewer_id=viewer_id)
    if await store.documents.in_use(id):
        raise Conflict(
            "A dataset is being imported from this document.", reason="DOCUMENT_IN_USE", field="id"
        )
    await store.background_tasks.delete_files([document.prefix])
    await store.documents.delete(id)
    return id


async def initiate_upload(
    store: Store,
    document: Document,
    *,
    limits: UploadLimits,
    viewer_id: str,
) -> Document:
    """Add a document whose bytes are not stored yet; `size_bytes` is 0 when the client declared no size."""
    project = await require_locked(store.projects, document.project_id, viewer_id=viewer_id)
    require_active(project)
    if document.size_bytes:
        check_file_size(document.size_bytes, limits)
        check_project_quota(document.size_bytes, await store.documents.total_bytes(project.id), limits)
    await store.documents.add(document)
    return document


async def complete_upload(
    store: Store, document_id: str, size: int, *, limits: UploadLimits, viewer_id: str, now: datetime
) -> tuple[Document, Job] | DomainError:
    """Enqueue the reading of stored bytes. A second call returns the same document and job.

    Bytes that exceed a limit are deleted and the document is FAILED; the caller commits that, so the error is
    returned, not raised.
    """
    document = await require(store.documents, document_id, viewer_id=viewer_id)
    await require_locked(store.projects, document.project_id, viewer_id=viewer_id)
    document = await store.documents.lock(document_id, viewer_id=viewer_id) or document
    if document.status is not DocumentStatus.PENDING_UPLOAD:
        return await completed_upload(store, document, viewer_id=viewer_id)
    try:
        check_file_size(size, limits)
        present = await store.documents.total_bytes(document.project_id) - document.size_bytes
        check_project_quota(size, present, limits)
    except (Invalid, LimitExceeded) as error:
        await _reject_upload(store, document, error)
        return error
    job = await _enqueue_read(store, document, size, viewer_id=viewer_id, now=now)
    return await require(store.documents, document.id, viewer_id=viewer_id), job


async def completed_upload(store: ReadStore, document: Document, *, viewer_id: str) -> tuple[Document, Job]:
    """A completed document and the job that reads it; raises `Conflict` when the upload was refused."""
    job = (await store.jobs.latest([document.id], viewer_id=viewer_id)).get(document.id)
    if job is None:
        raise Conflict(f"The upload was refused: {document.error}", reason="UPLOAD_REFUSED")
    return document, job


async def _reject_upload(store: Store, document: Document, error: DomainError) -> None:
    values = {"status": DocumentStatus.FAILED, "error": error.message, "size_bytes": 0}
    await store.documents.change(document.id, values, expected=DocumentStatus.PENDING_UPLOAD)
    await store.background_tasks.delete_files([document.prefix])


async def add_uploaded(
    store: Store,
    project_id: str,
    uploads: Sequence[Document],
    *,
    limits: UploadLimits,
    viewer_id: str,
    now: datetime,
) -> list[Document]:
    """Add documents whose bytes are stored already, and enqueue their reading; all of them or none."""
    project = await require_locked(store.projects, project_id, viewer_id=viewer_id)
    require_active(project)
    size = sum(document.size_bytes for document in uploads)
    check_project_quota(size, await store.documents.total_bytes(project_id), limits)
    for document in uploads:
        check_file_size(document.size_bytes, limits)
        await store.documents.add(document)
        await _enqueue_read(store, document, document.size_bytes, viewer_id=viewer_id, now=now)
    return [replace(document, status=DocumentStatus.PROCESSING) for document in uploads]


async def _enqueue_read(store: Store, document: Document, size: int, *, viewer_id: str, now: datetime) -> Job:
    await store.documents.change(
        document.id,
        {"status": DocumentStatus.PROCESSING, "size_bytes": size},
        expected=DocumentStatus.PENDING_UPLOAD,
    )
    job = new_job(
        JobType.DOCUMENT_READ,
        project_id=document.project_id,
        owner_id=viewer_id,
        subject_id=document.id,
        now=now,
    )
    await store.jobs.add(job)
    await store.jobs.enqueue(job)
    return job
