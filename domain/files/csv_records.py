"""Records of delimited text: RFC 4180 with what spreadsheets, Spark and tab-separated files make of it.

A quotation mark opens a value only at its beginning, blanks aside, and closes it only before a delimiter or a line
end. Where that does not hold, the line on which the value begins is a record with a fault, and reading goes on with
the next line: a missing quotation mark costs one record, not those after it.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from domain.files.lines_ahead import Lines, LinesAhead
from domain.items import VALUE_LIMIT
from domain.texts import BYTE_ORDER_MARK

QUOTE = '"'
SCAN_LIMIT = 8 * VALUE_LIMIT
"""Characters after which a value that was not closed counts as one that never is."""
DOUBLED_QUOTE = re.compile(r'[^,;\t|]""|""[^,;\t|\r\n]')
"""A quotation mark within a value, as opposed to an empty value."""
BLANK_QUOTE = re.compile('[ \t\xa0]"')
EMPTY_VALUE = re.compile(r'(?:^|(?<=[,;\t|]))""(?=[,;\t|\r\n]|$)')


class Quoting(Enum):
    """How a value contains quotation marks."""

    DOUBLED = "doubled"
    BACKSLASH = "backslash"
    """After a backslash, as Spark, Hive and MySQL write them."""
    NONE = "none"
    """Quotation marks are letters."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The form of a delimited text."""

    delimiter: str
    quoting: Quoting = Quoting.DOUBLED


class Record(NamedTuple):
    """The cells of a record that begins on `line`; with a `fault` they are not what was meant."""

    line: int
    cells: list[str]
    fault: str | None = None


class RecordTooLong(Exception):
    """The value that begins on `line` is closed, but has more than `VALUE_LIMIT` characters."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def records(lines: Iterable[str], dialect: Dialect) -> Iterator[Record]:
    """The records but for blank lines and a `sep=;` above the header; raises `RecordTooLong`.

    `lines` have their line ends, which a value of several lines keeps.
    """
    return _Reader(lines, dialect).records()


def never_closed_fault(line: int) -> str:
    """The fault of a record whose quoted value has no end."""
    return f"The quoted value that begins on line {line:,} is never closed."


class _Unclosed(Exception):
    """A quoted value has no closing quotation mark before the end of the text, or `SCAN_LIMIT`."""


class _TextAfterQuote(Exception):
    """A closing quotation mark, so many lines after the first one, is followed by neither a delimiter nor a line end."""

    def __init__(self, used: int) -> None:
        super().__init__(used)
        self.used = used


class _Reader:
    def __init__(self, lines: Iterable[str], dialect: Dialect) -> None:
        self._lines = Lines(lines)
        self._delimiter = dialect.delimiter
        self._quoting = dialect.quoting
        self._width = 0
        blanks = {" ": "", "\t": "[ \xa0]*"}.get(dialect.delimiter, "[ \t\xa0]*")
        has_backslashes = dialect.quoting is Quoting.BACKSLASH
        inside = r'\\.|[^"\\]+' if has_backslashes else '""|[^"]+'
        delimiter = re.escape(dialect.delimiter)
        self._opening = re.compile(f'{blanks}"')
        self._body = re.compile(f"(?:{inside})*+", re.DOTALL)
        self._end = re.compile(rf"{blanks}({delimiter}|[\r\n]*\Z)")
        self._prose = re.compile(rf"{delimiter}(?:\s|$)|\d{delimiter}\d")
        self._lines_ahead = LinesAhead(self._lines)
        self._csv = csv.reader(self._lines_ahead, delimiter=self._delimiter, strict=True)
        self._blank_before_quote = re.compile(rf'(?:^|{delimiter})(?!"){blanks}"')

    def records(self) -> Iterator[Record]:
        while (text := self._lines.take()) is not None:
            text = text.lstrip(BYTE_ORDER_MARK)  # any line may begin so, where files were joined
            if not text.strip() or (self._lines.number == 1 and names_the_delimiter(text)):
                continue
            record = self._record(self._lines.number, text)
            self._width = self._width or len(record.cells)
            if any(map(str.strip, record.cells)) or len(record.cells) > 1 or record.fault:
                yield record

    def _record(self, number: int, text: str) -> Record:
        record = self._read_record(number, text)
        if len(text) > VALUE_LIMIT and max(map(len, record.cells)) > VALUE_LIMIT:
            return Record(
                number, [""], f"A value on line {number:,} has more than {VALUE_LIMIT:,} characters."
            )
        return record

    def _read_record(self, number: int, text: str) -> Record:
        if QUOTE not in text or self._quoting is Quoting.NONE:
            return Record(number, text.rstrip("\r\n").split(self._delimiter))
        try:
            cells, used = self._usual_cells(text) or self._cells(number, text)
        except (_Unclosed, _TextAfterQuote, _DoubtfulBackslashes) as error:
            return Record(number, text.rstrip("\r\n").split(self._delimiter), _fault(error, number))
        if used and self._looks_like_rows([text, *self._lines.skip(used)]):
            return Record(number, cells, _doubtful_lines_fault(number, number + used))
        return Record(number, cells)

    def _usual_cells(self, text: str) -> tuple[list[str], int] | None:
        """What `_cells` returns, by the standard library's fast reader; None where it reads differently, or not at all."""
        if self._quoting is not Quoting.DOUBLED:
            return None
        self._lines_ahead.begin(text)
        try:
            cells = next(self._csv)
        except csv.Error:
            return None
        used = self._lines_ahead.used
        lines = (text, *map(self._lines.ahead, range(used))) if used else (text,)
        for line in lines:
            if (
                line is not None
                and BLANK_QUOTE.search(line)
                and self._blank_before_quote.search(line) is not None
            ):
                return None
        return cells, used

    def _cells(self, number: int, text: str) -> tuple[list[str], int]:
        """The cells of a record, and how many lines after the first one it takes."""
        cells, position, used = list[str](), 0, 0
        while True:
            opening = self._opening.match(text, position)
            if opening is None:
                end_of_cell = text.find(self._delimiter, position)
                if end_of_cell < 0:
                    return [*cells, text[position:].rstrip("\r\n")], used
                cells.append(text[position:end_of_cell])
                position = end_of_cell + 1
                continue
            value, text, position, used = self._quoted_value(number, text, opening.end(), used)
            cells.append(value)
            end = self._end.match(text, position)
            if end is None:
                raise _TextAfterQuote(used)
            if end[1] != self._delimiter:
                return cells, used
            position = end.end()

    def _quoted_value(self, number: int, text: str, position: int, used: int) -> tuple[str, str, int, int]:
        """A value, the line on which it ends, the position after it there, and the lines used so far."""
        parts, size = list[str](), 0
        while True:
            body = self._body.match(text, position)
            parts.append(body[0] if body else "")
            size += len(parts[-1])
            end = position + len(parts[-1])
            if end < len(text) and text[end] == QUOTE:
                break
            following = self._lines.ahead(used) if size <= SCAN_LIMIT else None
            if following is None:
                raise _Unclosed
            text, position, used = following, 0, used + 1
        if size > VALUE_LIMIT:
            raise RecordTooLong(number)
        return self._unescaped("".join(parts)), text, end + 1, used

    def _unescaped(self, text: str) -> str:
        if self._quoting is Quoting.DOUBLED:
            return text.replace('""', QUOTE)
        if re.search(r'\\\\(?!["\\]|$)', text):
            raise _DoubtfulBackslashes
        return re.sub(r'\\(["\\])', r"\1", text)

    def _looks_like_rows(self, lines: list[str]) -> bool:
        """Whether most lines after the first one of a record would be rows, so that a quotation mark may be missing.

        Not where quotation marks are doubled, another value is quoted too, or the lines within end otherwise than the
        record: a program wrote those.
        """
        if self._width < 2:
            return False
        following = [*lines[1:-1], lines[-1].partition(QUOTE)[0]]
        following = [line for line in following if line.strip()]
        alike = sum(map(self._is_like_a_row, following))
        are_rows = 2 * alike > len(following) or (self._delimiter == "\t" and 0 < 2 * alike == len(following))
        return are_rows and not _is_written_by_a_program(lines)

    def _is_like_a_row(self, line: str) -> bool:
        """Whether a line has as many delimiters as the header, none of which is one of prose or of a number."""
        text = line.rstrip("\r\n")
        return text.count(self._delimiter) == self._width - 1 and not self._prose.search(text)


def _is_written_by_a_program(lines: list[str]) -> bool:
    if lines[-1].endswith("\r\n") and not any(line.endswith("\r\n") for line in lines[:-1]):
        return True
    quotes = sum(line.count(QUOTE) - 2 * len(EMPTY_VALUE.findall(line)) for line in lines)
    return quotes > 2 or any(DOUBLED_QUOTE.search(line) for line in lines)


class _DoubtfulBackslashes(Exception):
    """Two backslashes before another character may stand for one or for two."""


def _fault(error: Exception, line: int) -> str:
    if isinstance(error, _Unclosed):
        return never_closed_fault(line)
    if isinstance(error, _DoubtfulBackslashes):
        return (
            f"A value that begins on line {line:,} has two backslashes, which may stand for one or for two."
        )
    last = line + error.used if isinstance(error, _TextAfterQuote) else line
    where = "by another one" if last == line else f"by one on line {last:,}"
    return (
        f"The quotation mark before a value on line {line:,} is followed {where} with text after it: either the value is "
        "not closed, or a quotation mark within it is not doubled."
    )


def _doubtful_lines_fault(first: int, last: int) -> str:
    return (
        f"The quoted value that begins on line {first:,} ends on line {last:,}, and the lines between look like rows of "
        "the table; a quotation mark may be missing. If none is, import the table as JSON Lines."
    )


def names_the_delimiter(text: str) -> bool:
    """Whether a first line is Excel's `sep=;`, with any character but a letter, a digit or a quotation mark."""
    return re.fullmatch(r"sep=[^\w\"\\]", text.rstrip("\r\n"), re.IGNORECASE) is not None
