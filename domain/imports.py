"""Imports: formats and encodings of uploads, which documents can be imported, and which column each field is."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from domain.documents import Document, DocumentKind, DocumentStatus
from domain.encodings import (
    doubtful_encoding_error,
    encoding_of_language,
    readings_in_language,
    validated_encoding,
)
from domain.errors import Conflict, DomainError, Invalid
from domain.formulas import without_guards
from domain.import_formats import FORMATS, ImportFormat

SHOWN_NAME, SHOWN_HEADERS = 100, 100
"""Most characters of a name in a message, and most headers."""
MESSAGES = re.compile(
    r'\s*\[\s*\{(?:(?=[^{}]*"role"\s*:)(?=[^{}]*"content"\s*:)|(?=[^{}]*"from"\s*:)(?=[^{}]*"value"\s*:))'
)
"""How a list of OpenAI's or ShareGPT's messages begins, in a value that is JSON."""
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


def check_supported(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Raise `Invalid` for a table of conversations, of preferences or in Alpaca's format, by its headers and first rows.

    Read as pairs of fields, these would be learned as something else.
    """
    names = {header.strip().casefold() for header in headers}
    found = None
    if any(MESSAGES.match(value) for row in rows for value in row):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How a document is imported, where that is said: its format, its encoding, and the headers of fields."""

    format: ImportFormat | None = None
    encoding: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    def validated(self, field_names: Sequence[str]) -> "ImportOptions":
        """The options with the codec of the encoding; raises `Invalid` for an unknown encoding or field."""
        for name, header in self.columns.items():
            if name not in field_names:
                message = f"The dataset has no field '{str(name)[:100]}'; its fields are {_quoted_list(field_names)}."
                raise Invalid(message, reason="UNKNOWN_FIELD", field="columns")
            if not isinstance(header, str):
                message = f"The column of the field '{name}' is not a text; name a header of the file."
                raise Invalid(message, reason="INVALID_COLUMNS", field="columns")
        if self.encoding is None:
            return self
        return replace(self, encoding=validated_encoding(self.encoding, "encoding"))

    def as_arguments(self) -> dict[str, object]:
        """The options as a job stores them."""
        return asdict(self)

    @classmethod
    def of_arguments(cls, arguments: Mapping[str, Any]) -> "ImportOptions":
        """The options of a job."""
        name = arguments.get("format")
        return cls(
            format=ImportFormat(name) if name else None,
            encoding=arguments.get("encoding"),
            columns=arguments.get("columns") or {},
        )

    def encoding_of(self, document: Document, language: str) -> str | None:
        """The encoding to read a document in; None where it was not detected yet.

        Raises `Invalid` where several are as likely, none is named, and the dataset's language does not decide.
        """
        readings = document.encoding_readings
        if self.encoding is not None or not readings:
            return self.encoding or document.encoding
        if len(readings) == 1:  # a guess without a doubt, but for what the language says
            if in_language := readings_in_language(readings[0], language):
                raise doubtful_encoding_error(in_language)
            return document.encoding
        found = encoding_of_language(readings, language)
        if found is None:
            raise doubtful_encoding_error(readings)
        return found


def column_mapping(
    field_names: Sequence[str], headers: Sequence[str], columns: Mapping[str, str]
) -> dict[str, str]:
    """The header of each field's column: that in `columns`, else the same name, else the only one in another case.

    Columns of no field are left out. Raises `Invalid` when a field has no column, or several have its name.
    """
    exact, similar = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for header in headers:
        for name in {header.strip(), without_guards(header.strip())}:
            exact[name].append(header)
        similar[header.strip().casefold()].append(header)
    found = {
        name: _header_of(columns.get(name, name).strip(), exact, similar, headers) for name in field_names
    }
    missing = [columns.get(name, name) for name, header in found.items() if header is None]
    if missing:
        raise Invalid(
            f"The file has no column for {_quoted_list(missing)}; its header is {_quoted_list(headers)}. "
            "`columns` maps a field to a header of another name.",
            reason="MISSING_COLUMNS",
            field="columns" if columns else None,
            context=_header_context(headers) | {"missing": [name[:SHOWN_NAME] for name in missing]},
        )
    mapping = {name: header for name, header in found.items() if header is not None}
    if twice := next((header for header, count in Counter(mapping.values()).items() if count > 1), None):
        message = f"Two fields cannot take the same column '{twice[:SHOWN_NAME]}'."
        raise Invalid(message, reason="DUPLICATE_COLUMN", field="columns")
    return mapping


def key_prefix(document: Document, *read_as: object, is_usual: bool) -> str:
    """What the keys of a document's items begin with: its id, and how it was read where that `is_usual` not.

    A row that is read again in the same way is the same item.
    """
    if is_usual:
        return document.id
    return f"{document.id}:{hashlib.sha256(json.dumps(read_as).encode()).hexdigest()[:12]}"


def _header_of(
    name: str,
    exact: Mapping[str, Sequence[str]],
    similar: Mapping[str, Sequence[str]],
    headers: Sequence[str],
) -> str | None:
    """The header that is a name, as it is or without guards of formulas; raises `Invalid` when two are."""
    found = exact.get(name, ())
    if len(found) > 1:
        message = f"The file names the column '{name[:SHOWN_NAME]}' {len(found)} times; rename those that are not meant."
        raise Invalid(message, reason="DUPLICATE_FIELD", context=_header_context(headers))
    in_any_case = similar.get(name.casefold(), ())
    return found[0] if found else in_any_case[0] if len(in_any_case) == 1 else None


def _header_context(headers: Sequence[str]) -> dict[str, Any]:
    return {"header": [header[:SHOWN_NAME] for header in headers[:SHOWN_HEADERS]]}


def _quoted_list(names: Sequence[str], limit: int = 20) -> str:
    quoted = ", ".join(f"'{name[:SHOWN_NAME]}'" for name in names[:limit])
    return quoted if len(names) <= limit else f"{quoted} and {len(names) - limit} more"
