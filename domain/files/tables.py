"""Tables: how the rows of an uploaded CSV or JSON Lines file are found, one at a time."""

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
from domain.items import VALUE_LIMIT, Problem, ProblemCode, Row
from domain.texts import as_text, text_problem

Format = Literal["CSV", "JSONL"]


SAMPLE_BYTES = 262_144
"""How much of a file its encoding is told from."""
SAMPLE_LINES = 100
"""How many lines the delimiter of a CSV file, or the fields of a JSON Lines file, are told from."""
LINE_LIMIT = 8_388_608
"""Characters that one line may have."""
MAX_COLUMNS = 1_000
DELIMITERS = (",", ";", "\t", "|")
PREVIEW_ROWS = 10
PREVIEW_CHARS = 2_000


csv.field_size_limit(VALUE_LIMIT)


@dataclass(frozen=True, slots=True)
class Table:
    """A file that was seen to be a table. `delimiter` is None for JSON Lines.

    The fields of JSON Lines are those of its first lines; a row's values may name others.
    """

    path: Path
    encoding: str
    headers: tuple[str, ...]
    delimiter: str | None

    def rows(self) -> Iterator[Row]:
        """Every row, with memory for one; raises `Invalid` where the file stops being text."""
        lines = _lines(self.path, self.encoding)
        return _json_rows(lines) if self.delimiter is None else self._csv_rows(lines, self.delimiter)

    def _csv_rows(self, lines: Iterator[str], delimiter: str) -> Iterator[Row]:
        return (_row(line, cells, self.headers) for line, cells in islice(records(lines, delimiter), 1, None))


def open_table(path: Path, format: Format, *, decode: Callable[[bytes], str]) -> Table:
    """Look at the start of a file; raises `Invalid` when it is no table.

    `decode` tells the encoding from the first bytes, and raises `Invalid` when they are not text.
    """
    with path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    if not sample.strip():
        raise _not_a_table("The file is empty.", reason="FILE_EMPTY")
    encoding = decode(sample)
    if format == "JSONL":
        return Table(path, encoding, _json_fields(_lines(path, encoding)), None)
    delimiter = sniff(list(islice(_lines(path, encoding), SAMPLE_LINES)))
    first = next(records(_lines(path, encoding), delimiter), None)
    if first is None:
        raise _not_a_table("The file is empty.", reason="FILE_EMPTY")
    return Table(path, encoding, _checked_headers(first[1]), delimiter)


def preview(table: Table) -> TablePreview:
    """The first rows, and how many there are, in one pass; raises `Invalid` when there are none."""
    rows = table.rows()
    first = [_shown(row, table.headers) for row in islice(rows, PREVIEW_ROWS)]
    if not first:
        raise _not_a_table("The table has a header but no rows.", reason="TABLE_EMPTY")
    count = len(first) + sum(1 for _ in rows)
    return TablePreview(
        headers=table.headers, rows=tuple(first), row_count=count, column_count=len(table.headers)
    )


def _shown(row: Row, headers: tuple[str, ...]) -> tuple[str, ...]:
    values = (row.values.get(name, "") for name in headers)
    return tuple(it if len(it) <= PREVIEW_CHARS else it[:PREVIEW_CHARS] + "…" for it in values)


def sniff(lines: Sequence[str]) -> str:
    """The delimiter of the first lines of a CSV file: the one that splits most of them as it splits the header."""
    hint = lines[0].strip().lower() if lines else ""
    if len(hint) == len("sep=;") and hint.startswith("sep="):  # Excel's own way to say it
        return hint[-1]
    scored = {delimiter: _agreement(lines, delimiter) for delimiter in DELIMITERS}
    return max(DELIMITERS, key=lambda it: scored[it])


def _agreement(lines: Sequence[str], delimiter: str) -> tuple[float, int]:
    """The share of records as wide as the first one, and its width; nothing for a single column."""
    try:
        widths = [len(cells) for cells in csv.reader(lines, delimiter=delimiter) if cells]
    except csv.Error:
        return 0.0, 0
    width = widths[0] if widths else 0
    return (widths.count(width) / len(widths), width) if width > 1 else (0.0, 0)


def records(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file, each with the line on which it begins; the first is the header."""
    counted = _Counted(iter(lines))
    reader = csv.reader(counted, delimiter=delimiter)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            _refuse_record(counted.begun, error)
        if cells is None:
            return
        counted.inside = False
        if cells and not _is_hint(counted.begun, cells) and (len(cells) > 1 or cells[0].strip()):
            yield counted.begun, cells


def _is_hint(line: int, cells: list[str]) -> bool:
    """Whether this is `sep=;`, as Excel writes it above the header."""
    return line == 1 and cells[0].lower().startswith("sep=") and len("".join(cells)) <= len("sep=;")


def _refuse_record(line: int, error: csv.Error) -> NoReturn:
    if "field larger" in str(error):
        raise _not_a_table(
            f"A value that begins on line {line:,} has more than {VALUE_LIMIT:,} characters; "
            "a quotation mark may be missing.",
            reason="VALUE_TOO_LONG",
        ) from None
    raise _not_a_table(f"Line {line:,} cannot be read as CSV.") from None


class _Counted:
    """Lines on their way into `csv.reader`, which asks for a second one only inside a quoted value."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._number = 0
        self.begun = 1
        self.inside = False

    def __iter__(self) -> "_Counted":
        return self

    def __next__(self) -> str:
        line = next(self._lines, None)
        if line is None:
            if self.inside:
                raise _not_a_table(f"The quoted value that begins on line {self.begun:,} is never closed.")
            raise StopIteration
        self._number += 1
        if not self.inside:
            self.begun = self._number
        self.inside = True
        return line


def _checked_headers(cells: Sequence[str]) -> tuple[str, ...]:
    """The field names; raises `Invalid` when one is missing or stands twice."""
    names = [cell.strip() for cell in cells]
    while len(names) > 1 and not names[-1]:  # a spreadsheet's empty columns
        names.pop()
    if len(names) > MAX_COLUMNS:
        raise _not_a_table(f"The table has {len(names):,} columns; {MAX_COLUMNS:,} are the most.")
    if "" in names:
        raise _not_a_table(
            f"Column {names.index('') + 1} of the header has no name.", reason="INVALID_HEADER"
        )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _not_a_table(f"The field '{twice[:100]}' is named twice.", reason="DUPLICATE_FIELD")
    return tuple(names)


def _row(line: int, cells: list[str], headers: tuple[str, ...]) -> Row:
    """A record by field; one with too few or too many values says so."""
    values = dict(zip(headers, cells, strict=False))
    code = None
    if len(cells) < len(headers):
        code = ProblemCode.FIELD_MISSING
    elif any(cell.strip() for cell in cells[len(headers) :]):
        code = ProblemCode.JSON_INVALID
    if code is None:
        return Row(line, values)
    message = f"Line {line:,} has {len(cells)} values, but the header has {len(headers)} fields."
    return Row(line, values, (Problem(code, message),))


def _json_fields(lines: Iterator[str]) -> tuple[str, ...]:
    """The fields of the first lines in the order of their appearance; raises `Invalid` when there are none."""
    first = list(islice(_json_rows(lines), SAMPLE_LINES))
    names = {name: None for row in first for name in row.values}
    if not names:
        message = "No line of the file is a JSON object; JSON Lines has one object on each line."
        raise _not_a_table(message)
    return _checked_headers(list(names))


def _json_rows(lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _json_row(number, line)


def _json_row(number: int, line: str) -> Row:
    """One line; what is wrong with it is said of this row alone."""
    try:
        value = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return Row(number, {}, (_json_problem(f"Line {number:,} is not JSON."),))
    if not isinstance(value, dict):
        return Row(number, {}, (_json_problem(f"Line {number:,} is not a JSON object."),))
    values = {name: as_text(it) for name, it in value.items()}
    if any(len(it) > VALUE_LIMIT for it in values.values()):
        message = f"A value on line {number:,} has more than {VALUE_LIMIT:,} characters."
        raise _not_a_table(message, reason="VALUE_TOO_LONG")
    problem = next((it for text in (*values, *values.values()) if (it := text_problem(text))), None)
    if problem is not None:
        return Row(number, {}, (_json_problem(f"Line {number:,} contains {problem}."),))
    return Row(number, values)


def _refuse_constant(name: str) -> NoReturn:
    """NaN and the infinities, which Python reads but JSON does not have."""
    raise ValueError(name)


def _json_problem(message: str) -> Problem:
    return Problem(ProblemCode.JSON_INVALID, message)


def _lines(path: Path, encoding: str) -> Iterator[str]:
    """Lines with their ends; raises `Invalid` where a line is no text."""
    with path.open(encoding=encoding, newline="") as file:
        number = 0
        while True:
            try:
                line = file.readline(LINE_LIMIT + 1)
            except UnicodeError:
                raise _undecodable(path, encoding) from None
            if not line:
                return
            number += 1
            _check_line(line, number)
            yield line


def _check_line(line: str, number: int) -> None:
    if len(line) > LINE_LIMIT:
        raise _not_a_table(f"Line {number:,} has more than {LINE_LIMIT:,} characters.")
    if "\x00" in line:
        raise _not_a_table(f"Line {number:,} contains a NUL character: the file is not a text table.")


def _undecodable(path: Path, encoding: str) -> Invalid:
    """Names the first byte that is not text: read once more, because the text layer forgets where it was."""
    decoder, read = codecs.getincrementaldecoder(encoding)(), 0
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(65_536), b""):
            read += len(chunk)
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                place = read - len(error.object) + error.start
                return _not_a_table(
                    f"The file is not valid {encoding}: the byte at position {place:,} is no text."
                )
    return _not_a_table(f"The file is not valid {encoding}: it ends inside a character at position {read:,}.")


def _not_a_table(message: str, *, reason: str = "NOT_A_TABLE") -> Invalid:
    return Invalid(message, reason=reason)
