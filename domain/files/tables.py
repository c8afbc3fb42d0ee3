"""Tables: the rows of uploaded CSV and JSON files, one at a time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import islice, starmap
from pathlib import Path
from typing import Literal, Protocol

from domain.documents import TablePreview
from domain.errors import Invalid
from domain.files.csv_dialects import common_width, detect_dialect, sample_records
from domain.files.csv_records import Dialect, Record, RecordTooLong, records
from domain.files.json_objects import (
    JsonRow,
    begins_as_json,
    is_one_value,
    rows_of_lines,
    rows_of_text,
    texts_of_lines,
    texts_of_objects,
)
from domain.files.json_records import JsonRecord, object_record
from domain.files.text_files import decoding_error, lines_of, pieces_of
from domain.formulas import has_guard, is_formula
from domain.import_formats import ImportFormat
from domain.item_problems import Problem, ProblemCode
from domain.items import VALUE_LIMIT, TableRow
from domain.texts import BYTE_ORDER_MARK

HEAD_CHARS = 65_536
"""Characters from which the format and the dialect are detected; the last line of a longer text is left out."""
MAX_COLUMNS = 1_000
MAX_HEADER_CHARS = 100_000
MAX_ROWS = 2_000_000
PREVIEW_ROWS = 10
PREVIEW_CHARS = 2_000
MAX_PREVIEW_CHARS = 200_000
"""Most characters of a preview: where there are many columns, less of each value is shown."""


class Table(Protocol):
    """A table file."""

    @property
    def format(self) -> ImportFormat:
        """The format that it is read in."""
        ...

    def rows(self, headers: Sequence[str]) -> Iterator[TableRow]:
        """All rows with their values of these columns; raises `Invalid` at bytes that are not text."""
        ...

    def records(self) -> Iterator[JsonRecord]:
        """All rows as objects, those of CSV with texts alone; raises `Invalid` at bytes that are not text."""
        ...

    def preview(self) -> TablePreview:
        """The first rows and the number of rows, in one pass; raises `Invalid` when there are none."""
        ...


def open_table(
    path: Path, encoding: str, declared: ImportFormat, requested: ImportFormat | None = None
) -> Table:
    """A table as CSV or JSON: as is requested or, where that is neither, as its content is; raises `Invalid` when it is none.

    `declared` is the format of the file's media type.
    """
    head = _head(path, encoding)
    if not head.strip(" \t\r\n" + BYTE_ORDER_MARK):
        raise _table_error("The file is empty.", reason="FILE_EMPTY")
    is_json = declared is ImportFormat.JSONL or begins_as_json(head)
    if requested in {ImportFormat.JSON, ImportFormat.JSONL} or (
        is_json and requested is not ImportFormat.CSV
    ):
        return JsonTable(path, encoding, is_one_value=is_one_value(head))
    return _open_csv(path, encoding, head)


def _head(path: Path, encoding: str) -> str:
    try:
        with path.open(encoding=encoding, newline="") as file:
            return file.read(HEAD_CHARS)
    except UnicodeError:
        raise decoding_error(path, encoding) from None


def _open_csv(path: Path, encoding: str, head: str) -> "CsvTable":
    lines = list(StringIO(head, newline=""))
    if len(head) == HEAD_CHARS and len(lines) > 1:
        lines.pop()  # it may be cut
    dialect = detect_dialect(lines)
    first = next(_records(path, encoding, dialect), None)
    if first is None:
        raise _table_error("The file is empty.", reason="FILE_EMPTY")
    if first.fault:
        raise _table_error(f"The header cannot be read. {first.fault}")
    _refuse_title(first, lines, dialect)
    _refuse_apostrophes(lines, dialect)
    return CsvTable(path, encoding, dialect, _headers(first.cells))


def _refuse_title(first: Record, lines: Sequence[str], dialect: Dialect) -> None:
    """Raise `Invalid` where the first line has one value, in the first column, and most lines below have more."""
    below = sample_records(lines, dialect)[1:]
    width = common_width(below)
    is_title = bool(first.cells[0].strip()) and _count(first) == 1
    if is_title and width > 1 and 2 * sum(_count(record) > 1 for record in below) > len(below):
        raise _table_error(
            f"Line {first.line:,} has one value, but the lines below have {width}: a title stands above the header, or "
            "columns have no name. The first line must have the names of the columns.",
            reason="TITLE_ABOVE_HEADER",
        )


def _count(record: Record) -> int:
    """The number of values that are not blank."""
    return sum(bool(cell.strip()) for cell in record.cells)


def _refuse_apostrophes(lines: Sequence[str], dialect: Dialect) -> None:
    """Raise `Invalid` where all values stand between apostrophes, which a delimiter within them would cut in two."""
    values = [cell for record in sample_records(lines, dialect) for cell in record.cells]
    if values and all(
        len(value) > 1 and value.startswith("'") and value.rstrip().endswith("'") for value in values
    ):
        raise _table_error(
            "All values stand between apostrophes; put quotation marks around them, or nothing.",
            reason="UNSUPPORTED_QUOTES",
        )


def _headers(cells: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns, "" for one without; without a spreadsheet's empty columns at the end."""
    names = [cell.strip() for cell in cells]
    while len(names) > 1 and not names[-1]:
        names.pop()
    if len(names) > MAX_COLUMNS:
        raise _table_error(f"The table has {len(names):,} columns; {MAX_COLUMNS:,} are the most.")
    _check_header(names)
    return tuple(names)


def _check_header(names: Iterable[str]) -> None:
    if sum(map(len, names)) > MAX_HEADER_CHARS:
        raise _table_error(f"The header has more than {MAX_HEADER_CHARS:,} characters.")


def _check_row_count(count: int) -> None:
    if count > MAX_ROWS:
        raise _table_error(f"The table has more than {MAX_ROWS:,} rows.", reason="TOO_MANY_ROWS")


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A table of delimited text, whose first record has the names of its columns."""

    path: Path
    encoding: str
    dialect: Dialect
    headers: tuple[str, ...]
    format: Literal[ImportFormat.CSV] = ImportFormat.CSV

    def rows(self, headers: Sequence[str]) -> Iterator[TableRow]:
        """All rows with their values of these columns. Values that a row leaves out at its end are ""."""
        columns = [self.headers.index(header) for header in headers]
        for record in self._body():
            cells = record.cells
            values = tuple([cells[column] if column < len(cells) else "" for column in columns])
            yield TableRow(record.line, values, self._problems(record))

    def records(self) -> Iterator[JsonRecord]:
        """All rows as objects of texts; a name that several columns have is that of the first one."""
        columns = {header: self.headers.index(header) for header in self.headers if header}
        for record in self._body():
            cells = [*record.cells, *[""] * (len(self.headers) - len(record.cells))]
            members = {header: cells[column] for header, column in columns.items()}
            yield JsonRecord(record.line, sum(map(len, cells)), members, self._fault(record))

    def _problems(self, record: Record) -> tuple[Problem, ...]:
        fault = self._fault(record)
        return () if fault is None else (Problem(ProblemCode.JSON_INVALID, fault),)

    def _fault(self, record: Record) -> str | None:
        if record.fault is not None or not any(map(str.strip, record.cells[len(self.headers) :])):
            return record.fault
        return f"Line {record.line:,} has {len(record.cells)} values, but the header has {len(self.headers)} fields."

    def preview(self) -> TablePreview:
        first, count, has_guards, has_formulas = list[tuple[str, ...]](), 0, False, False
        for count, record in enumerate(self._body(), 1):
            if count <= PREVIEW_ROWS:
                first.append(_preview_row([*record.cells, *[""] * len(self.headers)][: len(self.headers)]))
            _check_row_count(count)
            has_guards = has_guards or any(map(has_guard, record.cells))
            has_formulas = has_formulas or any(map(is_formula, record.cells))
        return _preview(self.headers, first, count, is_guarded=has_guards and not has_formulas)

    def _body(self) -> Iterator[Record]:
        return islice(_records(self.path, self.encoding, self.dialect), 1, None)


@dataclass(frozen=True, slots=True)
class JsonTable:
    """A table of JSON objects: one on each line, or as one value (`is_one_value`) an array, or over several lines."""

    path: Path
    encoding: str
    is_one_value: bool

    @property
    def format(self) -> ImportFormat:
        return ImportFormat.JSON if self.is_one_value else ImportFormat.JSONL

    def rows(self, headers: Sequence[str]) -> Iterator[TableRow]:
        """All rows with these members as text. One that is not there is ""; one that is nested has a warning."""
        for row in self._objects():
            values = tuple([row.values.get(header, "") for header in headers])
            yield TableRow(row.line, values, _json_problems(row, headers) if row.fault or row.nested else ())

    def preview(self) -> TablePreview:
        names, first, count = dict[str, None](), list[JsonRow](), 0
        for count, row in enumerate(self._objects(), 1):
            names.update(dict.fromkeys(row.values))
            _check_row_count(count)
            if len(names) > MAX_COLUMNS:
                raise _table_error(f"The objects have more than {MAX_COLUMNS:,} different fields.")
            if count <= PREVIEW_ROWS:
                first.append(row)
        if not names:
            message = "No line of the file is a JSON object; JSON Lines has one object on each line."
            raise _table_error(message)
        _check_header(names)
        rows = [_preview_row([row.values.get(name, "") for name in names]) for row in first]
        return _preview(tuple(names), rows, count)

    def records(self) -> Iterator[JsonRecord]:
        if self.is_one_value:
            texts = texts_of_objects(pieces_of(self.path, self.encoding))
        else:
            texts = texts_of_lines(lines_of(self.path, self.encoding))
        return starmap(object_record, texts)

    def _objects(self) -> Iterator[JsonRow]:
        if self.is_one_value:
            return rows_of_text(pieces_of(self.path, self.encoding))
        return rows_of_lines(lines_of(self.path, self.encoding))


def _json_problems(row: JsonRow, headers: Sequence[str]) -> tuple[Problem, ...]:
    if row.fault is not None:
        return (Problem(ProblemCode.JSON_INVALID, row.fault),)
    return tuple(
        Problem(
            ProblemCode.NOT_TEXT,
            f"Line {row.line:,}: the field '{header}' is an object or a list; its JSON is taken as the text.",
            is_warning=True,
        )
        for header in headers
        if header in row.nested
    )


def _preview(
    headers: tuple[str, ...], rows: Sequence[tuple[str, ...]], count: int, *, is_guarded: bool = False
) -> TablePreview:
    if not count:
        raise _table_error("The table has a header but no rows.", reason="TABLE_EMPTY")
    return TablePreview(
        headers=headers,
        rows=tuple(rows),
        row_count=count,
        column_count=len(headers),
        is_guarded=is_guarded,
    )


def _preview_row(values: Sequence[str]) -> tuple[str, ...]:
    limit = min(PREVIEW_CHARS, MAX_PREVIEW_CHARS // PREVIEW_ROWS // max(len(values), 1))
    return tuple(value if len(value) <= limit else value[:limit] + "…" for value in values)


def _records(path: Path, encoding: str, dialect: Dialect) -> Iterator[Record]:
    try:
        yield from records(lines_of(path, encoding), dialect)
    except RecordTooLong as error:
        raise _value_too_long_error(error.line) from None


def _value_too_long_error(line: int) -> Invalid:
    return _table_error(
        f"A value that begins on line {line:,} has more than {VALUE_LIMIT:,} characters.",
        reason="VALUE_TOO_LONG",
    )


def _table_error(message: str, *, reason: str = "NOT_A_TABLE") -> Invalid:
    return Invalid(message, reason=reason)
