"""CSV for Excel and Google Sheets: RFC 4180, with formulas guarded."""

import re
from collections.abc import Iterable

from domain.formulas import FIRST, SPLITS, guarded
from domain.texts import BYTE_ORDER_MARK

BOM = BYTE_ORDER_MARK
"""Begins the file: without it Excel reads UTF-8 in the machine's own encoding."""
EMPTY = '""'
QUOTED = re.compile(r'["\r\n,;\t]|\A[\s\ufeff]|\s\Z')
"""Values that are quoted: also those whose beginning would be taken for a blank or a byte order mark."""


def csv_line(values: Iterable[str], *, raw: bool = False) -> str:
    """A record with its line end; formulas are guarded unless it is `raw`.

    All values are quoted where one has several lines: a reader then sees that its lines are no records.
    """
    texts = list(values)
    has_splits = SPLITS.search("".join(texts)) is not None
    if not raw and (has_splits or any([text[:1] in FIRST for text in texts])):  # noqa: C419 - a generator is slow
        texts = list(map(guarded, texts))
    has_lines = has_splits and any("\n" in text or "\r" in text for text in texts)
    line = ",".join([_quoted(text) if has_lines or QUOTED.search(text) else text for text in texts])
    return f"{line or EMPTY}\r\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
