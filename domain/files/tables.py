"""Tables: reads the rows of uploaded CSV and JSON Lines files, one at a time."""

import codecs
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NoReturn

from domain.documents import TablePreview
from domain.errors import Invalid
from domain.items import VALUE_LIMIT, Problem, ProblemCode, TableRow
from domain.texts import as_text, invalid_character

Format = Literal["CSV", "JSONL"]

SAMPLE_BYTES = 262_144
"""Bytes at the start of a file from which its encoding is detected."""
SAMPLE_LINES = 100
"""Lines from which the delimiter of a CSV file, or the fields of a JSON Lines file, are detected."""
LINE_LIMIT = 8_388_608
"""Most characters of a line."""
MAX_COLUMNS = 1_000
DELIMITERS = (",", ";", "\t", "|")
PREVIEW_ROWS = 10
PREVIEW_CHARS = 2_000

csv.field_size_limit(VALUE_LIMIT)


@dataclass(frozen=True, slots=True)
class Table:
    """A table file. `delimiter` is None for JSON Lines.

    `headers` of JSON Lines are the fields of its first lines; later rows may have others.
    """

    path: Path
    encoding: str
    headers: tuple[str, ...]
    delimiter: str | None

    def rows(self) -> Iterator[TableRow]:
        """All rows, one in memory at a time; raises `Invalid` at bytes that are not text."""
        lines = _lines(self.path, self.encoding)
        return _json_rows(lines) if self.delimiter is None else self._csv_rows(lines, self.delimiter)

    def _csv_rows(self, lines: Iterator[str], delimiter: str) -> Iterator[TableRow]:
        return (
            _row(line, cells, self.headers) for line, cells in islice(csv_records(lines, delimiter), 1, None)
        )


def open_table(path: Path, format: Format, *, detect_encoding: Callable[[bytes], str]) -> Table:
    """Detect encoding, delimiter and headers from the start of a file; raises `Invalid` when it is not a table.

    `detect_encoding` gets the first bytes, and raises `Invalid` when they are not text.
    """
    with path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    if not sample.strip():
        raise _table_error("The file is empty.", reason="FILE_EMPTY")
    encoding = detect_encoding(sample)
    if format == "JSONL":
        return Table(path, encoding, _json_fields(_lines(path, encoding)), None)
    delimiter = sniff(list(islice(_lines(path, encoding), SAMPLE_LINES)))
    first = next(csv_records(_lines(path, encoding), delimiter), None)
    if first is None:
        raise _table_error("The file is empty.", reason="FILE_EMPTY")
    return Table(path, encoding, _validated_headers(first[1]), delimiter)


def preview(table: Table) -> TablePreview:
    """The first rows and the number of rows, in one pass; raises `Invalid` when there are none."""
    rows = table.rows()
    first = [_preview_row(row, table.headers) for row in islice(rows, PREVIEW_ROWS)]
    if not first:
        raise _table_error("The table has a header but no rows.", reason="TABLE_EMPTY")
    count = len(first) + sum(1 for _ in rows)
    return TablePreview(
        headers=table.headers, rows=tuple(first), row_count=count, column_count=len(table.headers)
    )


def _preview_row(row: TableRow, headers: tuple[str, ...]) -> tuple[str, ...]:
    values = (row.values.get(name, "") for name in headers)
    return tuple(value if len(value) <= PREVIEW_CHARS else value[:PREVIEW_CHARS] + "…" for value in values)


def sniff(lines: Sequence[str]) -> str:
    """The delimiter of a CSV file's first lines: the one by which most have as many values as the header."""
    first = lines[0].strip().lower() if lines else ""
    if len(first) == len("sep=;") and first.startswith("sep="):  # Excel names the delimiter so
        return first[-1]
    scores = {delimiter: _delimiter_score(lines, delimiter) for delimiter in DELIMITERS}
    return max(DELIMITERS, key=lambda delimiter: scores[delimiter])


def _delimiter_score(lines: Sequence[str], delimiter: str) -> tuple[float, int]:
    """The fraction of records with as many values as the first one, and that number; (0, 0) for one column."""
    try:
        widths = [len(cells) for cells in csv.reader(lines, delimiter=delimiter) if cells]
    except csv.Error:
        return 0.0, 0
    width = widths[0] if widths else 0
    return (widths.count(width) / len(widths), width) if width > 1 else (0.0, 0)


def csv_records(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file, each with the line on which it begins; the first is the header."""
    counter = _LineCounter(iter(lines))
    reader = csv.reader(counter, delimiter=delimiter)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            _refuse_record(counter.record_line, error)
        if cells is None:
            return
        counter.in_record = False
        is_blank = not cells or (len(cells) == 1 and not cells[0].strip())
        if not is_blank and not _is_delimiter_line(counter.record_line, cells):
            yield counter.record_line, cells


def _is_delimiter_line(line: int, cells: list[str]) -> bool:
    """Whether a record is Excel's `sep=;` above the header."""
    return line == 1 and cells[0].lower().startswith("sep=") and len("".join(cells)) <= len("sep=;")


def _refuse_record(line: int, error: csv.Error) -> NoReturn:
    if "field larger" in str(error):
        raise _table_error(
            f"A value that begins on line {line:,} has more than {VALUE_LIMIT:,} characters; "
            "a quotation mark may be missing.",
            reason="VALUE_TOO_LONG",
        ) from None
    raise _table_error(f"Line {line:,} cannot be read as CSV.") from None


class _LineCounter:
    """Counts the lines that `csv.reader` reads; it reads a second line of a record only inside a quoted value."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._number = 0
        self.record_line = 1
        self.in_record = False

    def __iter__(self) -> "_LineCounter":
        return self

    def __next__(self) -> str:
        line = next(self._lines, None)
        if line is None:
            if self.in_record:
                raise _table_error(
                    f"The quoted value that begins on line {self.record_line:,} is never closed."
                )
            raise StopIteration
        self._number += 1
        if not self.in_record:
            self.record_line = self._number
        self.in_record = True
        return line


def _validated_headers(cells: Sequence[str]) -> tuple[str, ...]:
    """The field names; raises `Invalid` when one is empty or a duplicate."""
    names = [cell.strip() for cell in cells]
    while len(names) > 1 and not names[-1]:  # a spreadsheet's empty columns
        names.pop()
    if len(names) > MAX_COLUMNS:
        raise _table_error(f"The table has {len(names):,} columns; {MAX_COLUMNS:,} are the most.")
    if "" in names:
        raise _table_error(
            f"Column {names.index('') + 1} of the header has no name.", reason="INVALID_HEADER"
        )
    if duplicate := next((name for name in names if names.count(name) > 1), None):
        raise _table_error(f"The field '{duplicate[:100]}' is named twice.", reason="DUPLICATE_FIELD")
    return tuple(names)


def _row(line: int, cells: list[str], headers: tuple[str, ...]) -> TableRow:
    """A record as a row; one with too few or too many values has a problem."""
    values = dict(zip(headers, cells, strict=False))
    code = None
    if len(cells) < len(headers):
        code = ProblemCode.FIELD_MISSING
    elif any(cell.strip() for cell in cells[len(headers) :]):
        code = ProblemCode.JSON_INVALID
    if code is None:
        return TableRow(line, values)
    message = f"Line {line:,} has {len(cells)} values, but the header has {len(headers)} fields."
    return TableRow(line, values, (Problem(code, message),))


def _json_fields(lines: Iterator[str]) -> tuple[str, ...]:
    """The fields of the first lines, in order of first use; raises `Invalid` when there are none."""
    first = list(islice(_json_rows(lines), SAMPLE_LINES))
    names = {name: None for row in first for name in row.values}
    if not names:
        message = "No line of the file is a JSON object; JSON Lines has one object on each line."
        raise _table_error(message)
    return _validated_headers(list(names))


def _json_rows(lines: Iterator[str]) -> Iterator[TableRow]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _json_row(number, line)


def _json_row(number: int, line: str) -> TableRow:
    """A line as a row; an invalid one is a row without values, with a problem."""
    try:
        value = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return TableRow(number, {}, (_json_problem(f"Line {number:,} is not JSON."),))
    if not isinstance(value, dict):
        return TableRow(number, {}, (_json_problem(f"Line {number:,} is not a JSON object."),))
    values = {name: as_text(member) for name, member in value.items()}
    if any(len(text) > VALUE_LIMIT for text in values.values()):
        message = f"A value on line {number:,} has more than {VALUE_LIMIT:,} characters."
        raise _table_error(message, reason="VALUE_TOO_LONG")
    found = next(filter(None, map(invalid_character, (*values, *values.values()))), None)
    if found is not None:
        return TableRow(number, {}, (_json_problem(f"Line {number:,} contains {found}."),))
    return TableRow(number, values)


def _refuse_constant(name: str) -> NoReturn:
    """NaN and the infinities, which Python reads but JSON does not have."""
    raise ValueError(name)


def _json_problem(message: str) -> Problem:
    return Problem(ProblemCode.JSON_INVALID, message)


def _lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a file with their line ends; raises `Invalid` when one is not text or too long."""
    with path.open(encoding=encoding, newline="") as file:
        number = 0
        while True:
            try:
                line = file.readline(LINE_LIMIT + 1)
            except UnicodeError:
                raise _decoding_error(path, encoding) from None
            if not line:
                return
            number += 1
            _check_line(line, number)
            yield line


def _check_line(line: str, number: int) -> None:
    if len(line) > LINE_LIMIT:
        raise _table_error(f"Line {number:,} has more than {LINE_LIMIT:,} characters.")
    if "\x00" in line:
        raise _table_error(f"Line {number:,} contains a NUL character: the file is not a text table.")


def _decoding_error(path: Path, encoding: str) -> Invalid:
    """The error for the first byte that is not text, found in a second pass: `readline` does not report it."""
    decoder, read = codecs.getincrementaldecoder(encoding)(), 0
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(65_536), b""):
            read += len(chunk)
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                position = read - len(error.object) + error.start
                return _table_error(
                    f"The file is not valid {encoding}: the byte at position {position:,} is no text."
                )
    return _table_error(f"The file is not valid {encoding}: it ends inside a character at position {read:,}.")


def _table_error(message: str, *, reason: str = "NOT_A_TABLE") -> Invalid:
    return Invalid(message, reason=reason)
