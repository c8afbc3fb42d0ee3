"""The documents of the GraphQL API."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain import documents as domain
from domain import encodings
from domain.documents import DocumentFilter, DocumentKind, DocumentStatus
from domain.ids import Noun
from domain.pages import PageRequest
from domain.reading import Collection
from resolvers import jobs as resolve_jobs
from schema.execution import ONLY_ID
from schema.shared.connections import Connection, connection, load_connection
from schema.shared.context import Info
from schema.shared.enums import register_enum
from schema.shared.nodes import NODE_TYPES, Id, Node, convert, converted_from, load, load_node, node
from schema.shared.scalars import BigInt
from schema.types.import_formats import ImportFormat, ItemFormat

if TYPE_CHECKING:
    from schema.types.jobs import Job
    from schema.types.projects import Project


register_enum(
    DocumentKind,
    "Purpose of a document.",
    RAW_DOC="Source text: PDF, DOCX, plain text or Markdown.",
    DATASET_UPLOAD="Table whose rows can be imported as dataset items: CSV or JSON Lines.",
)


register_enum(
    DocumentStatus,
    "Status of a document.",
    PENDING_UPLOAD="The upload is not complete; the document is deleted "
    "when this lasts for more than 2 hours.",
    PROCESSING="The upload is complete; a job reads the file.",
    READY="The file was read.",
    FAILED="The file was refused or could not be read; `error` has the reason.",
)


@converted_from(domain.TablePreview)
@strawberry.type(description="First rows of a table, and its size.")
class TablePreview:
    headers: list[str] = strawberry.field(
        description="Names of the columns, empty for one without; for JSON, the fields of all objects in order of "
        "first use."
    )
    rows: list[list[str]] = strawberry.field(
        description="Values of the first 10 rows as they stand in the file, in the order of `headers`; "
        "a value is cut after 2,000 characters, and earlier where there are more than 10 columns."
    )
    row_count: int = strawberry.field(description="Number of rows, without the header.")
    column_count: int = strawberry.field(description="Number of columns.")

    @classmethod
    def from_domain(cls, record: domain.TablePreview) -> "TablePreview":
        return convert(cls, record, headers=list(record.headers), rows=[list(row) for row in record.rows])


@converted_from(encodings.EncodingReading)
@strawberry.type(description="How an encoding reads a line of a file.")
class EncodingReading:
    encoding: str = strawberry.field(description="Name of the encoding, such as `cp1252`.")
    line: str = strawberry.field(
        description="A line of the file as this encoding reads it, cut after 200 characters."
    )


@node(Noun.DOCUMENT, domain.Document, "download_url")
@strawberry.type(description="An uploaded file.")
class Document(Node):
    record: strawberry.Private[domain.Document]
    filename: str = strawberry.field(description="File name without a path.")
    kind: DocumentKind = strawberry.field(description="Purpose of the document.")
    mime_type: str = strawberry.field(description="Media type, such as `text/csv`.")
    size_bytes: BigInt = strawberry.field(
        description="Size in bytes; until the upload is complete, the "
        "announced size, or 0 when none was announced."
    )
    status: DocumentStatus = strawberry.field(description="Status of the document.")
    error: str | None = strawberry.field(
        description="Why the file was refused or could not be read, in one sentence; null otherwise."
    )
    language: str | None = strawberry.field(
        description="Language of the text; not detected yet, always null."
    )
    page_count: int | None = strawberry.field(description="Number of pages; not counted yet, always null.")
    sha256: str | None = strawberry.field(
        description="SHA-256 of the content in hex; null until the file is read."
    )
    encoding: str | None = strawberry.field(
        description="Encoding that a table is read in where an import names none, such as `utf-8` or `cp1252`: that of the "
        "upload's `charset`, else, once the file is read, the one detected from its content; null for other files."
    )
    encoding_readings: list[EncodingReading] = strawberry.field(
        description="Two or three likely readings of a line of the file, the likeliest first, where the detected "
        "encoding is in doubt; empty otherwise."
    )
    preview: TablePreview | None = strawberry.field(
        description="First rows of a table in CSV or JSON; null for other files and until the file is read."
    )
    import_format: ImportFormat | None = strawberry.field(
        description="What a table was recognised as, and is imported as where an import names neither `format` nor "
        "`columns`; null for other files and until the file is read."
    )
    item_format: ItemFormat | None = strawberry.field(
        description="`itemFormat` of a dataset that the items of a table fit; null where `importFormat` is."
    )
    s3_key: str = strawberry.field(description="Storage object key of the file.")
    download_url: str | None = strawberry.field(
        description="REST path of the download; null until the upload is complete. "
        "A `ticket` replaces the bearer token in a link."
    )
    created_at: datetime = strawberry.field(description="Creation time.")

    @classmethod
    def from_domain(cls, record: domain.Document) -> "Document":
        path = f"/api/projects/{record.project_id}/documents/{record.id}/download"
        preview = TablePreview.from_domain(record.preview) if record.preview else None
        shown = record.encoding_readings if record.is_encoding_doubtful else ()
        readings = [convert(EncodingReading, reading) for reading in shown]
        return convert(
            cls,
            record,
            record=record,
            encoding_readings=readings,
            preview=preview,
            download_url=path if record.is_stored else None,
        )

    @strawberry.field(
        description="Whether the encoding is in doubt: an import must name one of `encodingReadings`, unless the "
        "dataset's language decides. Null until `encoding` is known."
    )
    def encoding_doubtful(self) -> bool | None:
        return self.record.is_encoding_doubtful if self.record.encoding is not None else None

    @strawberry.field(description="The project that the document belongs to.")
    def project(self, info: Info) -> Annotated["Project", strawberry.lazy("schema.types.projects")]:
        return load_node(info, self.record.project_id, Noun.PROJECT)

    @strawberry.field(
        description="The job that reads the file; null until the upload is complete.", metadata=ONLY_ID
    )
    def job(self, info: Info) -> Annotated["Job", strawberry.lazy("schema.types.jobs")] | None:
        return load(info, resolve_jobs.latest, self.id).then(NODE_TYPES[Noun.JOB].from_domain)


@strawberry.type
class DocumentQueries:
    @strawberry.field(description="A document of the viewer by its id.")
    def document(self, info: Info, id: Id) -> Document | None:
        return load_node(info, id, Noun.DOCUMENT)

    @connection("All documents of the viewer over every project, newest first.")
    def documents(
        self,
        info: Info,
        page: PageRequest,
        kind: Annotated[
            DocumentKind | None,
            strawberry.argument(description="Only documents of this kind; any kind when absent or null."),
        ] = None,
    ) -> Connection[Document]:
        return load_connection(info, Collection.DOCUMENTS, page, where=DocumentFilter(kind=kind))
