"""Taking uploads in, having them read, and deleting them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from domain.documents import Document, DocumentStatus, UploadLimits, check_room, check_size
from domain.errors import Conflict, DomainError, Invalid, LimitExceeded
from domain.jobs import Job, JobStatus, JobType, new_job
from domain.projects import require_active
from domain.reading import require, require_locked
from domain.store import Store


async def apply_job_status(store: Store, job: Job) -> None:
    """A document is FAILED when its reading failed; the imports that waited for it go on, or fail with it."""
    if not job.is_final:
        return
    if job.status is not JobStatus.SUCCESS:
        error = job.error or "Reading the document was cancelled."
        await store.documents.change(
            job.subject_id,
            {"status": DocumentStatus.FAILED, "error": error},
            expected=DocumentStatus.PROCESSING,
        )
    for waiting in await store.jobs.waiting_for(job.subject_id):
        await store.jobs.enqueue(waiting)


async def delete(store: Store, id: str, *, viewer_id: str) -> str:
    """Delete an upload and its bytes; items that came from it stay and keep its file name."""
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


async def announce(
    store: Store,
    document: Document,
    *,
    limits: UploadLimits,
    viewer_id: str,
) -> Document:
    """Keep a document whose bytes are still to come; `size_bytes` is 0 where nobody said how many."""
    project = await require_locked(store.projects, document.project_id, viewer_id=viewer_id)
    require_active(project)
    if document.size_bytes:
        check_size(document.size_bytes, limits)
        check_room(document.size_bytes, await store.documents.total_bytes(project.id), limits)
    await store.documents.add(document)
    return document


async def complete(
    store: Store, document_id: str, size: int, *, limits: UploadLimits, viewer_id: str, now: datetime
) -> tuple[Document, Job] | DomainError:
    """The bytes are there: have them read. The second call gives the same document and job.

    Bytes that may not stay are deleted and the document is FAILED: that is to be committed, so the refusal is
    returned and not raised.
    """
    document = await require(store.documents, document_id, viewer_id=viewer_id)
    await require_locked(store.projects, document.project_id, viewer_id=viewer_id)
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
    return await require(store.documents, document.id, viewer_id=viewer_id), job


async def completed(store: Store, document: Document, *, viewer_id: str) -> tuple[Document, Job]:
    """What an earlier completion made; raises `Conflict` when it was refused."""
    job = (await store.jobs.latest([document.id], viewer_id=viewer_id)).get(document.id)
    if job is None:
        raise Conflict(f"The upload was refused: {document.error}", reason="UPLOAD_REFUSED")
    return document, job


async def _refuse(store: Store, document: Document, refusal: DomainError) -> None:
    values = {"status": DocumentStatus.FAILED, "error": refusal.message, "size_bytes": 0}
    await store.documents.change(document.id, values, expected=DocumentStatus.PENDING_UPLOAD)
    await store.background_tasks.delete_files([document.prefix])


async def receive(
    store: Store,
    project_id: str,
    uploads: Sequence[Document],
    *,
    limits: UploadLimits,
    viewer_id: str,
    now: datetime,
) -> list[Document]:
    """Keep uploads whose bytes are in storage already and have them read, all of them or none."""
    project = await require_locked(store.projects, project_id, viewer_id=viewer_id)
    require_active(project)
    check_room(sum(it.size_bytes for it in uploads), await store.documents.total_bytes(project_id), limits)
    for document in uploads:
        check_size(document.size_bytes, limits)
        await store.documents.add(document)
        await _read(store, document, document.size_bytes, viewer_id=viewer_id, now=now)
    return [replace(it, status=DocumentStatus.PROCESSING) for it in uploads]


async def _read(store: Store, document: Document, size: int, *, viewer_id: str, now: datetime) -> Job:
    """Have a worker read a document whose bytes are there."""
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
