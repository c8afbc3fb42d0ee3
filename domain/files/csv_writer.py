"""CSV for Excel and Google Sheets: RFC 4180, with formulas escaped."""

import re
from collections.abc import Iterable

BOM = "\ufeff"
"""Begins the file: without it Excel reads UTF-8 in the machine's own encoding."""
FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""The first characters of formulas; the last four are full-width signs, which East Asian spreadsheets accept too."""
NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?%?", re.ASCII)
QUOTED = re.compile(r'["\r\n,;\t]|^\s|\s$')


def csv_line(values: Iterable[str]) -> str:
    """A record with its line end, with formulas escaped."""
    line = ",".join(_cell(value) for value in values) or '""'
    return f"{line}\r\n"


def _cell(value: str) -> str:
    text = escape_formula(value)
    return '"' + text.replace('"', '""') + '"' if QUOTED.search(text) else text


def escape_formula(value: str) -> str:
    """A text with an apostrophe before it when a spreadsheet would run it as a formula; -3.5 is unchanged."""
    return f"'{value}" if FORMULA.match(value) and not NUMBER.fullmatch(value) else value
