"""Resolvers of documents: storage is called outside of transactions."""

from datetime import datetime, timedelta

from domain.documents import (
    UPLOAD_URL_S,
    Document,
    DocumentKind,
    DocumentStatus,
    check_upload_key,
    new_document,
    not_uploaded_error,
)
from domain.errors import DomainError
from domain.jobs import Job
from domain.ports.storage import PresignedPut
from domain.reading import require
from domain.use_cases import documents, idempotency
from resolvers.context import Context


async def initiate_upload(
    context: Context,
    project_id: str,
    filename: str,
    declared_type: str,
    kind: DocumentKind,
    size: int | None,
    key: str | None,
) -> tuple[Document, PresignedPut | None, datetime]:
    """Create a document; returns it with a presigned upload URL and its expiry.

    A repeated idempotency key gives a new URL, and none once the upload is complete: it could replace the file.
    """
    viewer, now = context.viewer_id, context.now()
    document = new_document(project_id, filename, declared_type, kind, size, now=now)
    async with context.transactions.begin() as store:
        document = await idempotency.run_idempotently(
            store,
            "initiateUpload",
            key,
            [project_id, filename, declared_type, kind, size],
            create=lambda: documents.initiate_upload(
                store, document, limits=context.services.limits, viewer_id=viewer
            ),
            replay=lambda id: require(store.documents, id, viewer_id=viewer),
            result_id=lambda created: created.id,
            viewer_id=viewer,
        )
    expires_at = now + timedelta(seconds=UPLOAD_URL_S)
    if document.status is not DocumentStatus.PENDING_UPLOAD:
        return document, None, expires_at
    storage = context.services.storage
    return document, await storage.presign_put(document.s3_key, document.mime_type, UPLOAD_URL_S), expires_at


async def complete_upload(context: Context, document_id: str, s3_key: str) -> tuple[Document, Job]:
    """Start the job that reads an uploaded file; a second call returns the same job."""
    viewer = context.viewer_id
    async with context.transactions.read() as store:
        document = await require(store.documents, document_id, viewer_id=viewer)
        check_upload_key(document, s3_key)
        if document.status is not DocumentStatus.PENDING_UPLOAD:
            return await documents.completed_upload(store, document, viewer_id=viewer)
    stored = await context.services.storage.head(document.s3_key)
    if stored is None:
        raise not_uploaded_error()
    async with context.transactions.begin() as store:
        completed = await documents.complete_upload(
            store,
            document_id,
            stored.size,
            limits=context.services.limits,
            viewer_id=viewer,
            now=context.now(),
        )
    if isinstance(completed, DomainError):
        raise completed
    return completed


async def delete(context: Context, id: str) -> str:
    """Delete a document and its file."""
    async with context.transactions.begin() as store:
        return await documents.delete(store, id, viewer_id=context.viewer_id)
