"""Dialects of delimited text: the delimiter, and whether quotation marks are doubled, escaped or letters."""

import re
from collections import Counter
from collections.abc import Sequence

from domain.files.csv_records import (
    QUOTE,
    Dialect,
    Quoting,
    Record,
    RecordTooLong,
    names_the_delimiter,
    never_closed_fault,
    records,
)
from domain.texts import BYTE_ORDER_MARK

DELIMITERS = (",", ";", "\t", "|")
NEEDS_QUOTES = re.compile('[",]')
"""What spreadsheets put a value between quotation marks for, even between tabs."""


def detect_dialect(lines: Sequence[str]) -> Dialect:
    """The dialect of a text's first lines: the delimiter by which most records have the same number of cells."""
    first = lines[0].lstrip(BYTE_ORDER_MARK) if lines else ""
    if names_the_delimiter(first):
        return _with_quoting(lines, first.rstrip("\r\n")[-1])
    scores = {delimiter: _delimiter_score(lines, delimiter) for delimiter in DELIMITERS}
    return _with_quoting(lines, max(DELIMITERS, key=lambda delimiter: scores[delimiter]))


def common_width(found: Sequence[Record]) -> int:
    """The number of cells that most records without a fault have; 0 without any."""
    widths = Counter(len(record.cells) for record in found if record.fault is None)
    return max(widths, key=lambda width: (widths[width], width)) if widths else 0


def sample_records(lines: Sequence[str], dialect: Dialect) -> list[Record]:
    """The records of a text's first lines; the last one may be cut, and is left out where it has a fault."""
    try:
        found = list(records(lines, dialect))
    except RecordTooLong:
        return []
    while found and found[-1].fault == never_closed_fault(found[-1].line):
        found.pop()
    return found


def _delimiter_score(lines: Sequence[str], delimiter: str) -> tuple[float, int]:
    """The fraction of records that have the most common number of cells, and that number; (0, 0) for one cell."""
    found = sample_records(lines, Dialect(delimiter))
    width = common_width(found)
    if width < 2:
        return 0.0, 0
    return sum(len(record.cells) == width for record in found) / len(found), width


def _with_quoting(lines: Sequence[str], delimiter: str) -> Dialect:
    doubled = Dialect(delimiter)
    found = sample_records(lines, doubled)
    faults = _faults(lines, doubled)
    backslash = Dialect(delimiter, Quoting.BACKSLASH)
    if faults and any('\\"' in line for line in lines) and _faults(lines, backslash) < faults:
        return backslash
    if delimiter == "\t" and _are_quotes_letters(lines, found, faults=faults):
        return Dialect(delimiter, Quoting.NONE)
    return doubled


def _faults(lines: Sequence[str], dialect: Dialect) -> int:
    return sum(record.fault is not None for record in sample_records(lines, dialect))


def _are_quotes_letters(lines: Sequence[str], found: Sequence[Record], *, faults: int) -> bool:
    """Whether quotation marks in tab-separated lines stand for themselves.

    They do where reading them as quotes fails and every line by itself has as many values as the header, and where
    a value is quoted without need among values that are not: no program writes both.
    """
    plain = sample_records(lines, Dialect("\t", Quoting.NONE))
    width = len(plain[0].cells) if plain else 0
    if any(len(record.cells) != width for record in plain):
        return False
    if faults or len(found) < len(plain):
        return True
    quoted = [cell for record in plain for cell in record.cells if cell.startswith(QUOTE)]
    needs_none = not any(NEEDS_QUOTES.search(cell[1:-1]) for cell in quoted)
    return (
        bool(quoted)
        and needs_none
        and any(map(_is_mixed, zip(*(record.cells for record in plain[1:]), strict=True)))
    )


def _is_mixed(column: Sequence[str]) -> bool:
    """Whether a column has texts with quotation marks around them and texts without."""
    texts = [cell for cell in column if re.search(r"[^\W\d]", cell)]
    return len({cell.startswith(QUOTE) for cell in texts}) > 1
