"""The documents of the GraphQL API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import documents as domain
from domain.documents import DocumentKind, DocumentStatus
from domain.ids import Noun
from resolvers import documents as resolve
from resolvers import jobs as jobs_resolve
from schema.execution import ONLY_ID
from schema.shared.context import Info
from schema.shared.enums import enumeration
from schema.shared.nodes import OF, Id, Node, load, lookup, mirror, noun
from schema.shared.scalars import BigInt

if TYPE_CHECKING:
    from schema.types.jobs import Job
    from schema.types.projects import Project


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
    def project(self, info: Info) -> Annotated["Project", strawberry.lazy("schema.types.projects")]:
        """Loaded with the others."""
        return lookup(info, self.it.project_id, Noun.PROJECT)

    @strawberry.field(description="The job that reads it, once its upload is complete.", metadata=ONLY_ID)
    def job(self, info: Info) -> Annotated["Job", strawberry.lazy("schema.types.jobs")] | None:
        """Loaded with the others."""
        return load(info, jobs_resolve.latest, self.id).then(OF[Noun.JOB])


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
        return lookup(info, id, Noun.DOCUMENT)

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
