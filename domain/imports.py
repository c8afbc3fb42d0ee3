"""Imports: which uploads may become items, and which column holds which field."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from domain.documents import Document, DocumentKind, DocumentStatus
from domain.errors import Conflict, DomainError, Invalid


class ImportFormat(StrEnum):
    """How an upload is read."""

    CSV = "CSV"
    JSONL = "JSONL"


FORMATS = {
    "text/csv": ImportFormat.CSV,
    "text/plain": ImportFormat.CSV,
    "application/jsonl": ImportFormat.JSONL,
}
"""How an upload of each type is read, where nobody says."""


def import_format(document: Document, asked: ImportFormat | None) -> ImportFormat:
    """How a document is read: as asked, or as its type says; raises `Invalid` when neither helps."""
    found = asked or FORMATS.get(document.mime_type)
    if found is None:
        raise Invalid(
            f"Rows cannot be imported from a document of the type {document.mime_type}; upload CSV or JSON Lines.",
            reason="UNSUPPORTED_FORMAT",
            field="documentId",
        )
    return found


def file_format(document: Document, asked: ImportFormat | None, path: Path) -> ImportFormat:
    """As `import_format`, with a look into the file where its type says nothing: a text may be JSON Lines."""
    found = import_format(document, asked)
    if asked is not None or document.mime_type != "text/plain":
        return found
    with path.open("rb") as file:
        return ImportFormat.JSONL if file.read(1_024).lstrip().startswith(b"{") else found


def check_importable(document: Document, format: ImportFormat | None) -> None:
    """Raise `Invalid` or `Conflict` unless rows can be read from a document now or soon."""
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
        raise unreadable(document)
    import_format(document, format)


def unreadable(document: Document) -> DomainError:
    """What is said of a document whose reading failed."""
    return Conflict(
        f"The document could not be read: {document.error}", reason="DOCUMENT_FAILED", field="documentId"
    )


def columns(field_names: Sequence[str], headers: Sequence[str]) -> dict[str, str]:
    """The file's column for each field: of the same name, or else of the only one that differs in case.

    Raises `Invalid` when a field has no column; columns that are no field are left out.
    """
    found = {name: _column(name, headers) for name in field_names}
    lacking = [name for name, header in found.items() if header is None]
    if lacking:
        raise Invalid(
            f"The file has no column for {_listed(lacking)}; its header is {_listed(headers)}.",
            reason="MISSING_COLUMNS",
            context={"missing": lacking, "header": list(headers)},
        )
    return {name: header for name, header in found.items() if header is not None}


def _column(name: str, headers: Sequence[str]) -> str | None:
    exact = [it for it in headers if it.strip() == name]
    alike = [it for it in headers if it.strip().casefold() == name.casefold()]
    return exact[0] if exact else alike[0] if len(alike) == 1 else None


def _listed(names: Sequence[str], limit: int = 20) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
