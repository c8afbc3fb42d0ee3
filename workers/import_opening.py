"""Opens the file of an import: in which encoding and format it is read, and from which columns fields are imported."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from domain.conversations import ItemFormat
from domain.datasets import Dataset
from domain.documents import Document
from domain.files.encoding_detection import detect_encoding
from domain.files.item_rows import ColumnRows, ItemRows, LineRows
from domain.files.recognition import Recognised, as_pairs, headers_of_fields, recognised
from domain.files.tables import Table, open_table
from domain.formulas import without_guards
from domain.import_formats import FORMATS, ImportFormat
from domain.imports import ImportOptions, import_format, key_prefix
from domain.jobs import Job
from domain.services import Services
from domain.use_cases.imports import Import


def open_import(services: Services, job: Job, dataset: Dataset, document: Document, path: Path) -> Import:
    """The import of a file.

    Raises `Invalid` when it is no such table, its items are none of the dataset, or its encoding is in doubt.
    """
    options = ImportOptions.of_arguments(job.arguments or {})
    document, encoding = _with_encoding(services, options, dataset, document, path)
    declared = FORMATS.get(document.mime_type) or import_format(document, options.format)
    table = open_table(path, encoding, declared, options.format)
    is_same_table = encoding == document.encoding and (
        options.format is None or table.format is open_table(path, encoding, declared).format
    )
    usual = _usual(document, table) if is_same_table else None
    found = usual if usual is not None and options.is_usual else recognised(table, _requested(options, table))
    if options.format is not None:
        found = as_pairs(table, found, dataset)
    preview = document.preview if is_same_table and document.preview else table.preview()
    headers = headers_of_fields(dataset, found, preview, options)
    is_usual = found == usual and (headers is None or all(map(_is_same_name, dataset.field_names, headers)))
    return Import(
        dataset=dataset,
        document=document,
        source=_source(table, found, dataset, headers, is_guarded=preview.is_guarded),
        recognised=found,
        encoding=encoding,
        key_prefix=key_prefix(document, _name_in_keys(found), encoding, headers, is_usual=is_usual),
        now=services.now(),
    )


def _with_encoding(
    services: Services, options: ImportOptions, dataset: Dataset, document: Document, path: Path
) -> tuple[Document, str]:
    """The document, and the encoding to read it in; raises `Invalid` where that is in doubt."""
    encoding = options.encoding_of(document, dataset.language_iso)
    if encoding is not None:
        return document, encoding
    detected = detect_encoding(
        path, services.guess_encodings
    )  # a version that recorded none read the document
    document = replace(
        document, encoding=detected.name, encoding_readings=detected.stored_readings, preview=None
    )
    return document, options.encoding_of(document, dataset.language_iso) or detected.name


def _usual(document: Document, table: Table) -> Recognised:
    """What the document was recognised as."""
    if document.import_format is None or document.item_format is None:  # an earlier version read it
        return recognised(table)
    return Recognised(document.import_format, document.item_format)


def _requested(options: ImportOptions, table: Table) -> ImportFormat | None:
    return table.format if options.columns else options.format


def _source(
    table: Table,
    found: Recognised,
    dataset: Dataset,
    headers: Sequence[str | None] | None,
    *,
    is_guarded: bool,
) -> ItemRows:
    if headers is None:
        return LineRows(table, found, dataset)
    are_json = dataset.item_format is not ItemFormat.PROMPT_COMPLETION
    return ColumnRows(table, headers, is_guarded=is_guarded, are_json=are_json)


def _name_in_keys(found: Recognised) -> ImportFormat:
    """The format in the keys of items: an array and objects over several lines are read as JSON Lines are."""
    return ImportFormat.JSONL if found.import_format is ImportFormat.JSON else found.import_format


def _is_same_name(field: str, header: str | None) -> bool:
    return header is None or without_guards(header).strip().casefold() == field.casefold()
