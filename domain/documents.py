"""Documents: what was uploaded, and what was read from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from domain import projects
from domain.errors import Conflict, NotFound, no_such
from domain.jobs import Job, JobStatus
from domain.pages import Reads
from domain.rules import safe_name

if TYPE_CHECKING:
    from domain.store import Store


class DocumentKind(StrEnum):
    """What an upload is for."""

    RAW_DOC = "RAW_DOC"
    DATASET_UPLOAD = "DATASET_UPLOAD"


class DocumentStatus(StrEnum):
    """PENDING_UPLOAD until the bytes are there, PROCESSING while they are read."""

    PENDING_UPLOAD = "PENDING_UPLOAD"
    PROCESSING = "PROCESSING"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePreview:
    """The first rows of a table, and its size."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    row_count: int
    column_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An upload. `size_bytes` is what was announced until the bytes are there.

    `sha256` and `etag`, which is storage's own word for the same bytes, are known once it was read.
    """

    id: str
    project_id: str
    filename: str
    kind: DocumentKind
    mime_type: str
    size_bytes: int = 0
    status: DocumentStatus = DocumentStatus.PENDING_UPLOAD
    error: str | None = None
    language: str | None = None
    page_count: int | None = None
    sha256: str | None = None
    etag: str | None = None
    preview: TablePreview | None = None
    created_at: datetime

    @property
    def s3_key(self) -> str:
        """Where the bytes are in the bucket."""
        return f"{self.prefix}{safe_name(self.filename)}"

    @property
    def prefix(self) -> str:
        """Where it is alone in the bucket."""
        return f"documents/{self.id}/"

    @property
    def is_stored(self) -> bool:
        """Whether its bytes are there, read or not."""
        return self.status is not DocumentStatus.PENDING_UPLOAD and self.size_bytes > 0


UPLOAD_URL_S = 3_600
"""How long the URL of an upload works, in seconds."""
UPLOAD_OVER_S = 2 * UPLOAD_URL_S
"""After how many seconds no upload is under way any longer: one may begin in its URL's last second."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be uploaded, in bytes; models are exempt."""

    file_bytes: int
    project_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFilter:
    """Which documents a list shows."""

    kind: DocumentKind | None = None


class Documents(Reads[Document], Protocol):
    """The documents that are kept."""

    async def add(self, document: Document) -> None: ...
    async def change(self, id: str, values: Mapping[str, Any], *, expected: DocumentStatus) -> bool:
        """Change a document that has the expected status; False when it has another by now."""
        ...

    async def lock(self, id: str, *, viewer_id: str) -> Document | None: ...
    async def delete(self, id: str) -> None: ...
    async def total_bytes(self, project_id: str) -> int:
        """The bytes of all uploads of a project that count against its limit."""
        ...

    async def expire(self) -> list[str]:
        """Delete announced uploads that never came; the prefixes where their bytes may be."""
        ...

    async def in_use(self, id: str) -> bool:
        """Whether an import that has not ended reads it."""
        ...


def missing(id: str) -> NotFound:
    """What is said of a document that is not there, or another's."""
    return NotFound(no_such("document", id), reason="DOCUMENT_NOT_FOUND", field="documentId")


async def require(store: "Store", id: str, *, viewer_id: str) -> Document:
    """The viewer's document; raises `NotFound`."""
    document = await store.documents.get(id, viewer_id=viewer_id)
    if document is None:
        raise missing(id)
    return document


async def follow(store: "Store", job: Job) -> None:
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


async def delete(store: "Store", id: str, *, viewer_id: str) -> str:
    """Delete an upload and its bytes; items that came from it stay and keep its file name."""
    project_id = (await require(store, id, viewer_id=viewer_id)).project_id
    await projects.require_locked(store, project_id, viewer_id=viewer_id)
    document = await store.documents.lock(id, viewer_id=viewer_id)
    if document is None:
        raise missing(id)
    if await store.documents.in_use(id):
        raise Conflict(
            "A dataset is being imported from this document.", reason="DOCUMENT_IN_USE", field="id"
        )
    await store.chores.delete_files([document.prefix])
    await store.documents.delete(id)
    return id
