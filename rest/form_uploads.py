"""The files of an uploaded form, which are written to storage while they arrive."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from domain import ids
from domain.documents import (
    Document,
    DocumentKind,
    check_file_size,
    check_project_quota,
    media_type,
    table_encoding,
    validated_filename,
)
from domain.errors import Invalid, LimitExceeded
from domain.ids import Noun
from domain.services import Services
from rest.multipart import Part

MAX_FILES = 100
MAX_FIELD = 200
"""Bytes of a form field that is not a file."""


@dataclass(slots=True)
class FormUpload:
    """The files of one request. `used_bytes` is what the project's documents have already."""

    services: Services
    project_id: str
    used_bytes: int
    kind: DocumentKind | None
    files: list[tuple[str, Document]] = field(default_factory=list)
    """The declared media type of each file, and its document."""

    async def read(self, part: Part) -> None:
        """Store a file, or read the field `kind`; other fields are ignored."""
        if part.filename is not None:
            await self._store(part, part.filename)
        elif part.name == "kind":
            self.kind = kind_of(await part.text(MAX_FIELD))

    async def _store(self, part: Part, filename: str) -> None:
        if part.name not in {"files", "file"}:
            raise Invalid(f"Send files as `files`, not as `{part.name}`.", reason="UNKNOWN_FIELD")
        if len(self.files) == MAX_FILES:
            raise LimitExceeded(
                f"At most {MAX_FILES} files may be sent at once.", reason="TOO_MANY_FILES", field="files"
            )
        document = self._new_document(part, filename)
        self.files.append((part.content_type, document))
        media_type = document.mime_type or "application/octet-stream"
        size = await self.services.storage.write(document.s3_key, self._within_limits(part), media_type)
        check_file_size(size, self.services.limits)
        self.files[-1] = part.content_type, replace(document, size_bytes=size)

    def _new_document(self, part: Part, filename: str) -> Document:
        """The document of a file; its type is checked now where `kind` is known, else after the last part."""
        filename = validated_filename(filename)
        kind = self.kind
        return Document(
            id=ids.new(Noun.DOCUMENT),
            project_id=self.project_id,
            filename=filename,
            kind=kind or DocumentKind.RAW_DOC,
            mime_type=media_type(kind, filename, part.content_type) if kind else "",
            created_at=self.services.now(),
        )

    async def _within_limits(self, part: Part) -> AsyncIterator[bytes]:
        """The bytes of a file; raises `LimitExceeded` at the first byte too many."""
        size, limits = 0, self.services.limits
        received = sum(document.size_bytes for _, document in self.files)
        async for chunk in part.chunks:
            size += len(chunk)
            if size > limits.file_bytes:
                check_file_size(size, limits)
            check_project_quota(size + received, self.used_bytes, limits)
            yield chunk

    def documents(self) -> list[Document]:
        """The documents with their media types; raises `Invalid` without a file, a kind, or with a wrong type."""
        if not self.files:
            raise Invalid("The body has no `files`.", reason="FILE_REQUIRED", field="files")
        if self.kind is None:
            raise kind_required_error()
        kind = self.kind
        return [_with_type(document, kind, declared) for declared, document in self.files]


def _with_type(document: Document, kind: DocumentKind, declared: str) -> Document:
    found = media_type(kind, document.filename, declared)
    encoding = table_encoding(kind, found, declared, "files")
    return replace(document, kind=kind, mime_type=found, encoding=encoding)


def kind_of(text: str) -> DocumentKind:
    """A kind, in any case; raises `Invalid`."""
    try:
        return DocumentKind(text.upper())
    except ValueError:
        raise kind_required_error() from None


def kind_required_error() -> Invalid:
    """The refusal of an upload without a valid `kind`."""
    names = " or ".join(kind.lower() for kind in DocumentKind)
    return Invalid(
        f"Send `kind`, which is {names}, as a field of the form or in the query.",
        reason="INVALID_KIND",
        field="kind",
    )
