"""Imports: formats of uploads, which documents can be imported, and the mapping of fields to columns."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from domain.documents import Document, DocumentKind, DocumentStatus
from domain.errors import Conflict, DomainError, Invalid


class ImportFormat(StrEnum):
    """Format of an uploaded table."""

    CSV = "CSV"
    JSONL = "JSONL"


FORMATS = {
    "text/csv": ImportFormat.CSV,
    "text/plain": ImportFormat.CSV,
    "application/jsonl": ImportFormat.JSONL,
}
"""The format of each media type, where the caller names none."""


def import_format(document: Document, requested: ImportFormat | None) -> ImportFormat:
    """The requested format, or else that of the document's media type; raises `Invalid` when there is neither."""
    found = requested or FORMATS.get(document.mime_type)
    if found is None:
        raise Invalid(
            f"Rows cannot be imported from a document of the type {document.mime_type}; upload CSV or JSON Lines.",
            reason="UNSUPPORTED_FORMAT",
            field="documentId",
        )
    return found


def file_format(document: Document, requested: ImportFormat | None, path: Path) -> ImportFormat:
    """The format of a document's file: of a text that begins with `{` JSON Lines, else as `import_format` has it.

    Raises `Invalid` for a document that is no table.
    """
    found = import_format(document, requested)
    if requested is not None or document.mime_type != "text/plain":
        return found
    with path.open("rb") as file:
        return ImportFormat.JSONL if file.read(1_024).lstrip().startswith(b"{") else found


def check_importable(document: Document, format: ImportFormat | None) -> None:
    """Raise `Invalid` or `Conflict` unless a document is a table that is READY or PROCESSING."""
    if document.kind is not DocumentKind.DATASET_UPLOAD:
        raise Invalid(
            "Items are imported from a document of the kind DATASET_UPLOAD.",
            reason="WRONG_KIND",
            field="documentId",
        )
    if document.status is DocumentStatus.PENDING_UPLOAD:
        raise Conflict(
            "The document's upload is not complete; call completeUpload first.",
            reason="NOT_READY",
            field="documentId",
        )
    if document.status is DocumentStatus.FAILED:
        raise document_failed_error(document)
    import_format(document, format)


def document_failed_error(document: Document) -> DomainError:
    """The error for an import from a document that is FAILED."""
    return Conflict(
        f"The document could not be read: {document.error}", reason="DOCUMENT_FAILED", field="documentId"
    )


def column_mapping(field_names: Sequence[str], headers: Sequence[str]) -> dict[str, str]:
    """The header of the column of each field: the same name, or else the only one that differs in case alone.

    Columns of no field are left out. Raises `Invalid` when a field has no column.
    """
    found = {name: _header_of(name, headers) for name in field_names}
    missing = [name for name, header in found.items() if header is None]
    if missing:
        raise Invalid(
            f"The file has no column for {_quoted_list(missing)}; its header is {_quoted_list(headers)}.",
            reason="MISSING_COLUMNS",
            context={"missing": missing, "header": list(headers)},
        )
    return {name: header for name, header in found.items() if header is not None}


def _header_of(name: str, headers: Sequence[str]) -> str | None:
    exact = [header for header in headers if header.strip() == name]
    similar = [header for header in headers if header.strip().casefold() == name.casefold()]
    return exact[0] if exact else similar[0] if len(similar) == 1 else None


def _quoted_list(names: Sequence[str], limit: int = 20) -> str:
    quoted = ", ".join(f"'{name}'" for name in names[:limit])
    return quoted if len(names) <= limit else f"{quoted} and {len(names) - limit} more"
