"""CSV for Excel and Google Sheets: RFC 4180, with formulas guarded."""

import re
from collections.abc import Iterable

from domain.formulas import guarded
from domain.texts import BYTE_ORDER_MARK

BOM = BYTE_ORDER_MARK
"""Begins the file: without it Excel reads UTF-8 in the machine's own encoding."""
EMPTY = '""'
QUOTED = re.compile(r'["\r\n,;\t]|^[\s\ufeff]|\s$')
"""Values that are quoted: also those whose beginning would be taken for a blank or a byte order mark."""


def csv_line(values: Iterable[str], *, raw: bool = False) -> str:
    """A record with its line end; formulas are guarded unless it is `raw`.

    All values are quoted where one has several lines: a reader then sees that its lines are no records.
    """
    texts = [value if raw else guarded(value) for value in values]
    has_lines = any("\n" in text or "\r" in text for text in texts)
    line = ",".join(_quoted(text) if has_lines or QUOTED.search(text) else text for text in texts)
    return f"{line or EMPTY}\r\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
