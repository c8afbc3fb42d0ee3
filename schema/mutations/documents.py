"""Uploading and deleting documents."""

from datetime import datetime

import strawberry

from domain.documents import DocumentKind
from resolvers import documents as resolve
from schema.shared.context import Info
from schema.shared.inputs import optional, or_none
from schema.shared.payloads import DeleteInput, DeletePayload, Payload, mutation, payload_field
from schema.shared.scalars import JSON, BigInt
from schema.types.documents import Document
from schema.types.jobs import Job


@strawberry.input(description="The file to upload.")
class InitiateUploadInput:
    project_id: strawberry.ID = strawberry.field(description="Project of the document; must be `ACTIVE`.")
    file_name: str = strawberry.field(
        description="File name, at most 200 characters; a path before it is removed."
    )
    file_type: str = strawberry.field(
        description="Media type, such as `text/csv`; when it is empty or generic, the file extension decides."
    )
    kind: DocumentKind = strawberry.field(description="Purpose of the document.")
    size_bytes: BigInt | None = optional(
        "Size in bytes, so that a file over the size limits is refused before the upload; when "
        "absent or null, the limits are checked by `completeUpload` alone."
    )
    idempotency_key: str | None = optional(
        "Idempotency key, at most 200 characters; none when absent or null. For 24 hours, the same key "
        "with the same input returns the same document and a new URL, with other input `CONFLICT`."
    )


@strawberry.type(description="Result of `initiateUpload`.")
class InitiateUploadPayload(Payload):
    upload_url: str | None = payload_field(
        "Presigned URL that the file is sent to; null when the upload is already complete."
    )
    method: str | None = payload_field(
        "HTTP method of the upload, `PUT`; null when the upload is already complete."
    )
    headers: JSON | None = payload_field(
        "HTTP headers that the upload must send, an object from name to value: they are "
        "part of the signature. Null when the upload is already complete."
    )
    s3_key: str | None = payload_field("Storage object key, for `completeUpload`.")
    expires_at: datetime | None = payload_field(
        "Expiry time of the URL, 1 hour after the call; null when the upload is already complete."
    )
    document: Document | None = payload_field("The document, `PENDING_UPLOAD` until `completeUpload`.")


@strawberry.input(description="An upload whose file is in object storage.")
class CompleteUploadInput:
    document_id: strawberry.ID = strawberry.field(description="Document that `initiateUpload` returned.")
    s3_key: str = strawberry.field(description="Storage object key that `initiateUpload` returned.")


@strawberry.type(description="Result of `completeUpload`.")
class CompleteUploadPayload(Payload):
    document: Document | None = payload_field("The uploaded document.")
    job: Job | None = payload_field("The job that reads the file, which `jobEvents` follows.")


@strawberry.type
class DocumentMutations:
    @mutation
    async def initiate_upload(self, info: Info, input: InitiateUploadInput) -> InitiateUploadPayload:
        """Creates a document and returns a presigned URL, to which the client uploads the file directly."""
        document, put, expires_at = await resolve.initiate_upload(
            info.context,
            input.project_id,
            input.file_name,
            input.file_type,
            input.kind,
            or_none(input.size_bytes),
            or_none(input.idempotency_key),
        )
        return InitiateUploadPayload(
            upload_url=put.url if put else None,
            method="PUT" if put else None,
            headers=dict(put.headers) if put else None,
            s3_key=document.s3_key,
            expires_at=expires_at if put else None,
            document=Document.from_domain(document),
        )

    @mutation
    async def complete_upload(self, info: Info, input: CompleteUploadInput) -> CompleteUploadPayload:
        """Confirms that the file is in object storage and starts the job that reads it; a second call returns the same document and job."""
        document, job = await resolve.complete_upload(info.context, input.document_id, input.s3_key)
        return CompleteUploadPayload(document=Document.from_domain(document), job=Job.from_domain(job))

    @mutation
    async def delete_document(self, info: Info, input: DeleteInput) -> DeletePayload:
        """Deletes a document with its file; imported items are kept. Refused while an import of the document has not ended."""
        return DeletePayload(deleted_id=strawberry.ID(await resolve.delete(info.context, input.id)))
