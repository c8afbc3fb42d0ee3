"""What a table is: the format in which its rows or lines are read, and what items they are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from domain.conversations import PREFERENCE_FIELDS, ItemFormat
from domain.datasets import Dataset
from domain.documents import TablePreview
from domain.errors import Invalid
from domain.files.json_records import JsonRecord
from domain.files.tables import Table
from domain.import_formats import PLAIN, ImportFormat
from domain.imports import (
    OPTIONAL_FIELDS,
    ImportOptions,
    check_alpaca_fields,
    check_item_format,
    check_no_conversations,
    column_mapping,
)
from domain.line_formats.conversion import convert_line, read_line
from domain.line_formats.detection import detect
from domain.line_formats.item_values import item_format_of
from domain.line_formats.lines import NotUnderstood

SAMPLE_RECORDS = 100
SAMPLE_CHARS = 1_048_576
"""Records, and characters of them, from which a format is recognised."""


class Recognised(NamedTuple):
    """The format in which a table is read, and what its items are."""

    import_format: ImportFormat
    item_format: ItemFormat


def recognised(table: Table, requested: ImportFormat | None = None) -> Recognised:
    """What a table is by its first records, in the requested format where one is.

    Raises `Invalid` where none of these records is in the requested format.
    """
    sample = [record for record in _first_records(table) if record.fault is None]
    lines = [line_members(table, record) for record in sample]
    found = None if requested in PLAIN else detect(lines)
    if found is not None and requested in {None, found[0]}:
        return Recognised(found[0], _with_context(table, *found))
    if requested is None or requested in PLAIN:
        return Recognised(table.format, _item_format_of_columns(lines))
    return Recognised(requested, _item_format_of_lines(requested, sample, lines))


def headers_of_fields(
    dataset: Dataset, found: Recognised, preview: TablePreview, options: ImportOptions
) -> list[str | None] | None:
    """The header of each field's column in a plain table, None for one without; None where lines are items.

    Raises `Invalid` where the items of the file are none of the dataset, or a field has no column.
    """
    check_item_format(dataset, *found, names_columns=bool(options.columns))
    if found.import_format not in PLAIN:
        if dataset.item_format is ItemFormat.PROMPT_COMPLETION and found.import_format is ImportFormat.ALPACA:
            check_alpaca_fields(dataset, preview.headers)
        return None
    is_plain = dataset.item_format is ItemFormat.PROMPT_COMPLETION
    optional = () if is_plain else OPTIONAL_FIELDS
    mapping = column_mapping(dataset.field_names, preview.headers, options.columns, optional=optional)
    if is_plain:
        check_no_conversations(list(mapping.values()), preview)
    return [mapping.get(name) for name in dataset.field_names]


def as_pairs(table: Table, found: Recognised, dataset: Dataset) -> Recognised:
    """The file as prompts with their completions where the dataset has these, and a conversation of the first lines is one."""
    is_wanted = dataset.item_format is ItemFormat.PROMPT_COMPLETION
    if not is_wanted or found.import_format in {*PLAIN, ImportFormat.ALPACA}:
        return found
    if found.item_format is not ItemFormat.CONVERSATION:
        return found
    for record in _first_records(table):
        try:
            read_line(found.import_format, line_members(table, record), dataset)
        except NotUnderstood:
            continue
        return Recognised(found.import_format, ItemFormat.PROMPT_COMPLETION)
    return found


def line_members(table: Table, record: JsonRecord) -> Mapping[str, Any]:
    """The members of a record by the names that formats have: headers of CSV may be in any case."""
    if table.format is not ImportFormat.CSV:
        return record.members
    return {name.casefold(): value for name, value in record.members.items()}


def _first_records(table: Table) -> Iterator[JsonRecord]:
    size = 0
    for count, record in enumerate(table.records(), 1):
        yield record
        size += record.size
        if count == SAMPLE_RECORDS or size > SAMPLE_CHARS:
            return


def _with_context(table: Table, format: ImportFormat, item_format: ItemFormat) -> ItemFormat:
    """The format of the items of a whole file: in Alpaca's, conversations where any line is more than a pair."""
    if (format, item_format) != (ImportFormat.ALPACA, ItemFormat.PROMPT_COMPLETION):
        return item_format
    conversations = (format, ItemFormat.CONVERSATION)
    if any(detect([line_members(table, record)]) == conversations for record in table.records()):
        return ItemFormat.CONVERSATION
    return item_format


def _item_format_of_columns(rows: Sequence[Mapping[str, Any]]) -> ItemFormat:
    """What the rows of a plain table are: columns may have conversations or preference pairs as JSON texts."""
    names = {name.casefold() for row in rows for name in row}
    if names.issuperset(PREFERENCE_FIELDS):
        return ItemFormat.PREFERENCE
    texts = (value for row in rows for name, value in row.items() if name.casefold() == "messages")
    is_conversation = any(isinstance(text, list) or str(text).lstrip().startswith("[") for text in texts)
    return ItemFormat.CONVERSATION if is_conversation else ItemFormat.PROMPT_COMPLETION


def _item_format_of_lines(
    format: ImportFormat, sample: Sequence[JsonRecord], lines: Sequence[Mapping[str, Any]]
) -> ItemFormat:
    """What the lines of a requested format are, by the first that is in it; raises `Invalid` where none is."""
    reasons = list[str]()
    for record, line in zip(sample, lines, strict=True):
        try:
            return item_format_of(convert_line(format, line).line)
        except NotUnderstood as error:
            reasons.append(f"Line {record.line:,}: {error.message}")
    reason = reasons[0] if reasons else "It has no objects."
    raise Invalid(
        f"The file is not in the format {format}. {reason}", reason="UNSUPPORTED_FORMAT", field="format"
    )
