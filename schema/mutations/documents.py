"""Uploading and deleting documents."""

from datetime import datetime

import strawberry

from domain.documents import DocumentKind
from resolvers import documents as resolve
from schema.shared.context import Info
from schema.shared.inputs import optional, or_none
from schema.shared.payloads import DeleteInput, DeletePayload, Payload, mutation, outcome
from schema.shared.scalars import JSON, BigInt
from schema.types.documents import Document
from schema.types.jobs import Job


@strawberry.input(description="A file that is to be uploaded.")
class InitiateUploadInput:
    """A file that is to be uploaded."""

    project_id: strawberry.ID = strawberry.field(description="The project that it is for.")
    file_name: str = strawberry.field(description="Its name; a path before it is dropped.")
    file_type: str = strawberry.field(description="Its media type, such as text/csv.")
    kind: DocumentKind = strawberry.field(description="What it is for.")
    size_bytes: BigInt | None = optional("Its size, to be told at once when that is too much.")
    idempotency_key: str | None = optional("A replay gives the same document, and a fresh URL.")


@strawberry.type(description="Where the bytes are to be put.")
class InitiateUploadPayload(Payload):
    """Where the bytes are to be put."""

    upload_url: str | None = outcome("Where to send the bytes; null once the upload is complete.")
    method: str | None = outcome("The HTTP method to send them with: PUT.")
    headers: JSON | None = outcome("The headers to send them with: they are part of the URL's signature.")
    s3_key: str | None = outcome("What completeUpload is to be told.")
    expires_at: datetime | None = outcome("When the URL ends.")
    document: Document | None = outcome("The document, still without bytes.")


@strawberry.input(description="An upload whose bytes are in storage.")
class CompleteUploadInput:
    """An upload whose bytes are in storage."""

    document_id: strawberry.ID = strawberry.field(description="The document of initiateUpload.")
    s3_key: str = strawberry.field(description="The key of initiateUpload.")


@strawberry.type(description="The document, and the job that reads it.")
class CompleteUploadPayload(Payload):
    """The document, and the job that reads it."""

    document: Document | None = outcome("The document.")
    job: Job | None = outcome("The job that reads it.")


@strawberry.type
class DocumentMutations:
    """What may be done with documents."""

    @mutation
    async def initiate_upload(self, info: Info, input: InitiateUploadInput) -> InitiateUploadPayload:
        """Asks for a presigned URL; the client then PUTs the bytes straight to object storage."""
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
            document=Document.of(document),
        )

    @mutation
    async def complete_upload(self, info: Info, input: CompleteUploadInput) -> CompleteUploadPayload:
        """Says that the bytes are there, and has them read. A second call gives the same document and job."""
        document, job = await resolve.complete_upload(info.context, input.document_id, input.s3_key)
        return CompleteUploadPayload(document=Document.of(document), job=Job.of(job))

    @mutation
    async def delete_document(self, info: Info, input: DeleteInput) -> DeletePayload:
        """Deletes an upload and its bytes; items that came from it stay."""
        return DeletePayload(deleted_id=strawberry.ID(await resolve.delete(info.context, input.id)))
