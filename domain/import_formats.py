"""Formats of uploaded tables, and the one that each media type implies."""

from enum import StrEnum


class ImportFormat(StrEnum):
    """Format of an uploaded file of items."""

    CSV = "CSV"
    JSONL = "JSONL"
    JSON = "JSON"
    OPENAI = "OPENAI"
    ALPACA = "ALPACA"
    SHAREGPT = "SHAREGPT"
    TRL = "TRL"


PLAIN = frozenset({ImportFormat.CSV, ImportFormat.JSONL, ImportFormat.JSON})
"""The formats of tables whose columns are fields; the lines of the others are items by themselves."""
FORMATS = {
    "text/csv": ImportFormat.CSV,
    "text/plain": ImportFormat.CSV,
    "application/jsonl": ImportFormat.JSONL,
    "application/json": ImportFormat.JSONL,
}
"""The format of each media type, where the caller names none."""
