"""Imports: formats and encodings of uploads, which documents can be imported, and which column each field is."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from domain.conversations import CONVERSATION_FIELDS, ItemFormat
from domain.datasets import Dataset
from domain.documents import Document, DocumentKind, DocumentStatus, TablePreview
from domain.encodings import (
    doubtful_encoding_error,
    encoding_of_language,
    readings_in_language,
    validated_encoding,
)
from domain.errors import Conflict, DomainError, Invalid
from domain.formulas import without_guards
from domain.import_formats import FORMATS, PLAIN, ImportFormat

KINDS = {
    ItemFormat.PROMPT_COMPLETION: "prompts with their completions, or a table of fields",
    ItemFormat.CONVERSATION: "conversations",
    ItemFormat.PREFERENCE: "preference pairs, of a better and a worse answer",
}
"""What a file has, for messages."""
OPTIONAL_FIELDS = frozenset(CONVERSATION_FIELDS) - {"messages"}
"""Fields of conversations that a table need not have a column of."""
MESSAGES = re.compile(
    r'\s*\[\s*\{(?:(?=[^{}]*"role"\s*:)(?=[^{}]*"content"\s*:)|(?=[^{}]*"from"\s*:)(?=[^{}]*"value"\s*:))'
)
"""How a list of OpenAI's or ShareGPT's messages begins, in a value that is JSON."""
SHOWN_NAME, SHOWN_HEADERS = 100, 100
"""Most characters of a name in a message, and most headers."""


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


def check_item_format(
    dataset: Dataset, import_format: ImportFormat, item_format: ItemFormat, *, names_columns: bool = False
) -> None:
    """Raise `Invalid` where a dataset cannot have the items of a file.

    A prompt with its completion can be a conversation, where the file's format says which is which. Of Alpaca's lines,
    those are a pair that have no more than a question and its answer. `columns` say what is what of a plain table.
    """
    wanted = dataset.item_format
    fits = {
        ItemFormat.PROMPT_COMPLETION: item_format is ItemFormat.CONVERSATION
        and import_format is ImportFormat.ALPACA,
        ItemFormat.CONVERSATION: item_format is ItemFormat.PROMPT_COMPLETION and import_format not in PLAIN,
        ItemFormat.PREFERENCE: False,
    }
    if item_format is wanted or fits[wanted] or (names_columns and import_format in PLAIN):
        return
    raise Invalid(
        f"The file has {KINDS[item_format]}, but the dataset has the itemFormat {wanted}; create one with itemFormat: "
        f"{item_format}.",
        reason="ITEM_FORMAT_MISMATCH",
        field="documentId",
        context={"importFormat": import_format, "itemFormat": item_format},
    )


def check_no_conversations(headers: Sequence[str], preview: TablePreview) -> None:
    """Raise `Invalid` where columns of prompts and completions have conversations: these would be learned as texts."""
    shown = [dict(zip(preview.headers, row, strict=True)) for row in preview.rows]
    for header in headers:
        if any(MESSAGES.match(row.get(header, "")) for row in shown):
            raise Invalid(
                f"The column '{header[:SHOWN_NAME]}' has conversations. Create a dataset with itemFormat: CONVERSATION, "
                "and name the column of `messages` in `columns`.",
                reason="ITEM_FORMAT_MISMATCH",
                field="documentId",
            )


def check_alpaca_fields(dataset: Dataset, headers: Sequence[str]) -> None:
    """Raise `Invalid` where the prompt or the completion of a dataset has the name of another column of Alpaca's format."""
    names = {header.casefold() for header in headers}
    roles = ((dataset.input_field, {"instruction", "input"}), (dataset.output_field, {"output"}))
    for name, columns in roles:
        if name.casefold() in names - columns:
            raise Invalid(
                f"The file has Alpaca's format: the prompt is made of `instruction` and `input`, and the completion is "
                f"`output`; but the dataset's field '{name[:SHOWN_NAME]}' has the name of another column. Name the "
                "`columns`, so that the file is read as a plain table.",
                reason="ITEM_FORMAT_MISMATCH",
                field="columns",
            )


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
        if self.columns and self.format is not None and self.format not in PLAIN:
            message = f"`columns` are those of a plain table; lines in the format {self.format} have none."
            raise Invalid(message, reason="INVALID_COLUMNS", field="columns")
        if self.encoding is None:
            return self
        return replace(self, encoding=validated_encoding(self.encoding, "encoding"))

    @property
    def is_usual(self) -> bool:
        """Whether neither a format nor columns are named, so that the file is read as what it was recognised as."""
        return self.format is None and not self.columns

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
    field_names: Sequence[str],
    headers: Sequence[str],
    columns: Mapping[str, str],
    *,
    optional: Collection[str] = (),
) -> dict[str, str]:
    """The header of each field's column: that in `columns`, else the same name, else the only one in another case.

    Columns of no field are left out, and so are `optional` fields without a column. Raises `Invalid` when another field
    has no column, or several have its name.
    """
    exact, similar = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for header in headers:
        for name in {header.strip(), without_guards(header.strip())}:
            exact[name].append(header)
        similar[header.strip().casefold()].append(header)
    found = {
        name: _header_of(columns.get(name, name).strip(), exact, similar, headers) for name in field_names
    }
    missing = [
        columns.get(name, name)
        for name, header in found.items()
        if header is None and (name in columns or name not in optional)
    ]
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
