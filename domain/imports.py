"""Imports: formats of uploads, which documents can be imported, and the mapping of fields to columns."""

from collections.abc import Sequence
from enum import StrEnum

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
    "application/json": ImportFormat.JSONL,
}
"""The format of each media type, where the caller names none."""


CONVERSATION_FIELDS = ("messages", "conversations", "conversation", "chat")
PREFERENCE_FIELDS = ({"chosen", "rejected"}, {"preferred_output", "non_preferred_output"})


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


def check_supported(headers: Sequence[str], first: Sequence[str]) -> None:
    """Raise `Invalid` for a table of conversations, of preferences or in Alpaca's format, by its headers and first row.

    Read as pairs of fields, these would be learned as something else.
    """
    names = {header.strip().casefold() for header in headers}
    row = dict(zip((header.strip().casefold() for header in headers), first, strict=True))
    found = None
    if any(row.get(name, "").lstrip().startswith(("[{", "[ {")) for name in CONVERSATION_FIELDS):
        found = "conversations (OpenAI's or ShareGPT's format)"
    elif any(pair <= names for pair in PREFERENCE_FIELDS):
        found = "preferences (a better and a worse answer)"
    elif names >= {"instruction", "input", "output"}:
        found = "Alpaca's format (instruction, input and output)"
    if found is not None:
        raise Invalid(
            f"The file has {found}, which cannot be imported yet; give it one field with the prompt and one with "
            "the answer.",
            reason="UNSUPPORTED_FORMAT",
        )


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
