"""The documents of the GraphQL API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import documents as domain
from domain.documents import DocumentKind, DocumentStatus
from resolvers import documents as resolve
from resolvers import jobs as jobs_resolve
from schema.base import OF, Id, Info, Node, enumeration, load, lookup, mirror, noun, optional, or_none
from schema.calls import BY_ID
from schema.mutations import DeleteInput, DeletePayload, Payload, mutation, outcome
from schema.scalars import JSON, BigInt

if TYPE_CHECKING:
    from schema.jobs import Job
    from schema.projects import Project

enumeration(
    DocumentKind,
    "What an upload is for: a text to learn from, or a table of items.",
    RAW_DOC="A text to learn from.",
    DATASET_UPLOAD="A table whose rows become items.",
)
enumeration(
    DocumentStatus,
    "PENDING_UPLOAD until the bytes are there, PROCESSING while they are read.",
    PENDING_UPLOAD="Its bytes are awaited.",
    PROCESSING="Its bytes are being read.",
    READY="It was read.",
    FAILED="It could not be read; `error` says why.",
)


@strawberry.type(description="The first rows of a table, and its size.")
class TablePreview:
    """The first rows of a table, and its size."""

    headers: list[str] = strawberry.field(description="The field names.")
    rows: list[list[str]] = strawberry.field(
        description="The values of the first ten rows; long ones are cut."
    )
    row_count: int = strawberry.field(description="How many rows there are, the header not counted.")
    column_count: int = strawberry.field(description="How many fields there are.")

    @classmethod
    def of(cls, it: domain.TablePreview) -> "TablePreview":
        """A preview as the API shows it."""
        return mirror(cls, it, headers=list(it.headers), rows=[list(row) for row in it.rows])


@noun
@strawberry.type(description="An upload, and what was read from it.")
class Document(Node):
    """A document."""

    it: strawberry.Private[domain.Document]
    filename: str = strawberry.field(description="The file's name as it was given, without its path.")
    kind: DocumentKind = strawberry.field(description="What it is for.")
    mime_type: str = strawberry.field(description="Its media type.")
    size_bytes: BigInt = strawberry.field(
        description="Its size; until the upload is complete, what was announced."
    )
    status: DocumentStatus = strawberry.field(description="How far it is.")
    error: str | None = strawberry.field(description="Why it could not be read, as a sentence.")
    language: str | None = strawberry.field(description="Its language, where it was told.")
    page_count: int | None = strawberry.field(description="How many pages it has, where it has pages.")
    sha256: str | None = strawberry.field(description="The SHA-256 of its bytes, once they are read.")
    preview: TablePreview | None = strawberry.field(
        description="For a tabular upload: its header and first rows."
    )
    s3_key: str = strawberry.field(description="Where its bytes are in the bucket.")
    download_url: str | None = strawberry.field(
        description="Path of the download (REST), once the bytes are there; a browser appends ?ticket=, see `ticket`."
    )
    created_at: datetime = strawberry.field(description="When the upload was begun.")

    @classmethod
    def of(cls, it: domain.Document) -> "Document":
        """A document as the API shows it."""
        path = f"/api/projects/{it.project_id}/documents/{it.id}/download"
        preview = TablePreview.of(it.preview) if it.preview else None
        return mirror(cls, it, it=it, preview=preview, download_url=path if it.is_stored else None)

    @strawberry.field(description="The project that it is in.")
    def project(self, info: Info) -> Annotated["Project", strawberry.lazy("schema.projects")]:
        """Loaded with the others."""
        return lookup(info, self.it.project_id, "Project")

    @strawberry.field(description="The job that reads it, once its upload is complete.", metadata=BY_ID)
    def job(self, info: Info) -> Annotated["Job", strawberry.lazy("schema.jobs")] | None:
        """Loaded with the others."""
        return load(info, jobs_resolve.latest, self.id).then(OF["Job"])


@strawberry.type(description="What opens one REST path for its viewer, where no bearer token can be sent.")
class Ticket:
    """What opens one REST path for its viewer."""

    ticket: str = strawberry.field(description="To be appended to the path as ?ticket=.")
    expires_at: datetime = strawberry.field(description="When it ends.")


@strawberry.type
class DocumentQueries:
    """The documents of the root query."""

    @strawberry.field(description="A document of the viewer's.")
    def document(self, info: Info, id: Id) -> Document | None:
        """By id."""
        return lookup(info, id, "Document")

    @strawberry.field(
        description="A ticket for one download or event stream: a browser's link and EventSource send no bearer "
        "token. Append ?ticket= to the path."
    )
    async def ticket(
        self,
        info: Info,
        path: Annotated[str, strawberry.argument(description="A REST path, such as a downloadUrl.")],
    ) -> Ticket:
        """For the viewer and this path alone."""
        ticket, expires_at = resolve.ticket(info.context, path)
        return Ticket(ticket=ticket, expires_at=expires_at)


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
    job: Annotated["Job", strawberry.lazy("schema.jobs")] | None = outcome("The job that reads it.")


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
        return CompleteUploadPayload(document=Document.of(document), job=OF["Job"](job))

    @mutation
    async def delete_document(self, info: Info, input: DeleteInput) -> DeletePayload:
        """Deletes an upload and its bytes; items that came from it stay."""
        return DeletePayload(deleted_id=strawberry.ID(await resolve.delete(info.context, input.id)))
