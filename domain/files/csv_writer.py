"""CSV that Excel and Google Sheets open rightly: RFC 4180, and no cell that would run as a formula."""

import re
from collections.abc import Iterable

BOM = "\ufeff"
"""First in the file: without it Excel takes UTF-8 for the machine's own encoding."""


FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a formula begins; the last four are the full-width signs, which East Asian spreadsheets take too."""
NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?%?", re.ASCII)
QUOTED = re.compile(r'["\r\n,;\t]|^\s|\s$')


def csv_line(values: Iterable[str]) -> str:
    """One record with its line end. A cell that would run as a formula gets an apostrophe before it."""
    line = ",".join(_cell(value) for value in values) or '""'
    return f"{line}\r\n"


def _cell(value: str) -> str:
    text = harmless(value)
    return '"' + text.replace('"', '""') + '"' if QUOTED.search(text) else text


def harmless(value: str) -> str:
    """A text that no spreadsheet takes for a formula; numbers such as -3.5 stay as they are."""
    return f"'{value}" if FORMULA.match(value) and not NUMBER.fullmatch(value) else value
