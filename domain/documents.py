"""Documents: uploaded files, the limits on uploads, and previews of tables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Protocol

from domain import ids
from domain.conversations import ItemFormat
from domain.encodings import EncodingReading, declared_encoding
from domain.errors import Conflict, Invalid, LimitExceeded
from domain.ids import Noun
from domain.import_formats import ImportFormat
from domain.reading import LockingReads, Reads
from domain.rules import validated_text
from domain.storage_keys import document_key, document_prefix
from domain.texts import replace_invalid_characters


class DocumentKind(StrEnum):
    """Purpose of an upload."""

    RAW_DOC = "RAW_DOC"
    DATASET_UPLOAD = "DATASET_UPLOAD"


class DocumentStatus(StrEnum):
    """Status of a document: PENDING_UPLOAD until its bytes are stored, PROCESSING while a worker reads them."""

    PENDING_UPLOAD = "PENDING_UPLOAD"
    PROCESSING = "PROCESSING"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePreview:
    """The first rows of a table, and how many rows and columns it has.

    A column without a name has the header "". `is_guarded` tells that cells have an apostrophe before a formula sign,
    and that no formula stands without: an import removes the apostrophes.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    row_count: int
    column_count: int
    is_guarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An uploaded file. `size_bytes` is the size that the client declared until the bytes are stored.

    `sha256` and `etag`, the storage's entity tag, are None until a worker has read the file. `encoding` is the one
    that the upload named or, once it was read, what a table was read as. It was guessed where it has `encoding_readings`, and is in doubt where they are several.
    `import_format` and `item_format` are what a table was recognised as, None until it was read.
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
    encoding: str | None = None
    encoding_readings: tuple[EncodingReading, ...] = ()
    preview: TablePreview | None = None
    import_format: ImportFormat | None = None
    item_format: ItemFormat | None = None
    created_at: datetime

    @property
    def s3_key(self) -> str:
        """Where the bytes are in the bucket."""
        return document_key(self.id, self.filename)

    @property
    def prefix(self) -> str:
        """The prefix in the bucket, under which nothing else is stored."""
        return document_prefix(self.id)

    @property
    def is_encoding_doubtful(self) -> bool:
        """Whether several encodings are as likely."""
        return len(self.encoding_readings) > 1

    @property
    def is_stored(self) -> bool:
        """Whether its bytes are stored, read or not."""
        return self.status is not DocumentStatus.PENDING_UPLOAD and self.size_bytes > 0


UPLOAD_URL_S = 3_600
"""Lifetime of a presigned upload URL, in seconds."""
UPLOAD_EXPIRY_S = 2 * UPLOAD_URL_S
"""Age in seconds at which a pending upload has expired: a PUT may begin in the last second of its URL."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Most bytes of a file, and of all uploads of a project."""

    file_bytes: int
    project_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFilter:
    """Conditions that listed documents fulfill."""

    kind: DocumentKind | None = None


class DocumentReads(Reads[Document], Protocol):
    """Reads documents."""

    async def total_bytes(self, project_id: str) -> int:
        """The sum of `size_bytes` over a project's documents."""
        ...

    async def in_use(self, id: str) -> bool:
        """Whether an import from the document has not ended."""
        ...


class Documents(DocumentReads, LockingReads[Document], Protocol):
    """Reads and writes documents."""

    async def add(self, document: Document) -> None: ...
    async def change(self, id: str, values: Mapping[str, Any], *, expected: DocumentStatus) -> bool:
        """Change a document that has the expected status; False when it has another status."""
        ...

    async def delete(self, id: str) -> None: ...
    async def expire(self) -> list[str]:
        """Delete pending uploads older than `UPLOAD_EXPIRY_S`; the storage prefixes of their bytes."""
        ...


MEBIBYTE = 1_048_576
MAX_DECLARED_TYPE = 200
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
"""The media types that each kind accepts, with the file extensions that imply them."""


ALIASES = {
    "application/x-ndjson": "application/jsonl",
    "application/x-jsonlines": "application/jsonl",
    "application/vnd.ms-excel": "text/csv",  # sent by browsers on Windows for .csv files
    "application/csv": "text/csv",
    "text/tab-separated-values": "text/csv",
    "application/x-parquet": "application/vnd.apache.parquet",
    "application/x-zip-compressed": "application/zip",
}
AMBIGUOUS = frozenset({"", "application/octet-stream", "text/plain", "application/json"})
"""Media types that clients send for many kinds of files: the extension decides."""


def validated_filename(name: str) -> str:
    """The name without its path and without control characters; raises `Invalid` when nothing is left."""
    name = PurePosixPath(replace_invalid_characters(name).replace("\\", "/")).name
    name = re.sub(r"[\x00-\x1f\x7f]", "", name).strip()
    if not name or name in {".", ".."}:
        raise Invalid("The file needs a name.", reason="INVALID_FILE_NAME", field="fileName")
    return validated_text(name, "fileName", limit=200)


def media_type(kind: DocumentKind, filename: str, declared: str) -> str:
    """The media type that is stored for an upload; raises `Invalid` when its kind does not accept it."""
    if len(declared) > MAX_DECLARED_TYPE:
        message = f"The media type has more than {MAX_DECLARED_TYPE} characters."
        raise Invalid(message, reason="UNSUPPORTED_FILE_TYPE", field="fileType")
    declared = declared.partition(";")[0].strip().lower()
    declared = ALIASES.get(declared, declared)
    extension = filename.rpartition(".")[2].lower()
    if declared in AMBIGUOUS:
        for accepted, extensions in TYPES[kind].items():
            if extension in extensions:
                return accepted
    if declared in TYPES[kind]:
        return declared
    raise Invalid(
        f"The file '{filename}' has the type '{declared or 'unknown'}', which {kind} does not accept; "
        f"accepted: {', '.join(TYPES[kind])}.",
        reason="UNSUPPORTED_FILE_TYPE",
        field="fileType",
    )


TEXT_TABLES = frozenset({"text/csv", "text/plain", "application/jsonl", "application/json"})


def table_encoding(kind: DocumentKind, media_type: str, declared: str, field: str) -> str | None:
    """The encoding that the declared type of a table names; None for other uploads. Raises `Invalid` for an unknown one."""
    if kind is not DocumentKind.DATASET_UPLOAD or media_type not in TEXT_TABLES:
        return None
    return declared_encoding(declared, field)


def check_file_size(size: int, limits: UploadLimits) -> None:
    """Raise `LimitExceeded` when a file is too large, `Invalid` when it is empty."""
    if size > limits.file_bytes:
        raise LimitExceeded(
            f"The file exceeds the maximum size of {limits.file_bytes / MEBIBYTE:g} MiB.",
            reason="FILE_TOO_LARGE",
            field="sizeBytes",
            context={"limitBytes": limits.file_bytes},
        )
    if size <= 0:
        raise Invalid("The file is empty.", reason="FILE_EMPTY", field="sizeBytes")


def check_project_quota(size: int, present: int, limits: UploadLimits) -> None:
    """Raise `LimitExceeded` when `size` more bytes would exceed the project's limit; `present` are stored."""
    if present + size > limits.project_bytes:
        raise LimitExceeded(
            f"The project's files would exceed {limits.project_bytes / MEBIBYTE:g} MiB.",
            reason="PROJECT_FULL",
            field="sizeBytes",
            context={"limitBytes": limits.project_bytes, "presentBytes": present},
        )


def new_document(
    project_id: str, filename: str, declared_type: str, kind: DocumentKind, size: int | None, *, now: datetime
) -> Document:
    """A document that is PENDING_UPLOAD; raises `Invalid` when name, size or type break a rule."""
    filename = validated_filename(filename)
    if size is not None and size <= 0:
        raise Invalid("The file is empty.", reason="FILE_EMPTY", field="sizeBytes")
    return Document(
        id=ids.new(Noun.DOCUMENT),
        project_id=project_id,
        filename=filename,
        kind=kind,
        mime_type=media_type(kind, filename, declared_type),
        size_bytes=size or 0,
        encoding=table_encoding(kind, media_type(kind, filename, declared_type), declared_type, "fileType"),
        created_at=now,
    )


def check_upload_key(document: Document, s3_key: str) -> None:
    """Raise `Invalid` unless the key is that of the document's upload."""
    if s3_key != document.s3_key:
        raise Invalid(
            "This is not the key that the upload was started with.", reason="S3_KEY_MISMATCH", field="s3Key"
        )


def not_uploaded_error() -> Conflict:
    """The error for completing an upload whose bytes are not stored."""
    return Conflict(
        "Nothing was uploaded under this key; PUT the bytes to the upload's URL first.",
        reason="NOT_UPLOADED",
        field="s3Key",
    )
