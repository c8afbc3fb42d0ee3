"""The text formats of a dataset's download, which are written item by item."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from domain.datasets import Dataset
from domain.files.csv_writer import BOM, csv_line
from domain.import_formats import ImportFormat
from domain.items import Item, ItemSelection
from domain.line_formats.conversion import write_text
from domain.splits import Split
from domain.store import Transactions


class FormatName(StrEnum):
    """What `?format=` may be."""

    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"
    XLSX = "xlsx"
    OPENAI = "openai"
    ALPACA = "alpaca"
    SHAREGPT = "sharegpt"
    TRL = "trl"


@dataclass(frozen=True, slots=True)
class TextFormat:
    """The beginning of a file, the text of an item, what stands between two items, and the end of the file."""

    media_type: str
    head: Callable[[Dataset], str]
    text: Callable[[Dataset, Item], str]
    separator: str = ""
    tail: str = ""


JSON_LINES = "application/jsonl"


def _json_line(dataset: Dataset, item: Item) -> str:
    return json.dumps(dict(zip(dataset.field_names, item.values, strict=True)), ensure_ascii=False) + "\n"


def _nothing(_: Dataset) -> str:
    return ""


def _line_in(format: ImportFormat, dataset: Dataset, item: Item) -> str:
    return write_text(format, item.values, dataset) + "\n"


CSV = TextFormat(
    "text/csv; charset=utf-8",
    head=lambda dataset: BOM + csv_line(dataset.field_names),
    text=lambda _, item: csv_line(item.values),
)
RAW_CSV = TextFormat(
    "text/csv; charset=utf-8",
    head=lambda dataset: BOM + csv_line(dataset.field_names, raw=True),
    text=lambda _, item: csv_line(item.values, raw=True),
)
"""CSV with formulas as they are, which a spreadsheet would run."""
JSONL = TextFormat(JSON_LINES, _nothing, _json_line)
JSON = TextFormat(
    "application/json",
    head=lambda _: "[\n",
    text=lambda dataset, item: _json_line(dataset, item).rstrip("\n"),
    separator=",\n",
    tail="\n]\n",
)
LINE_FORMATS: Mapping[FormatName, ImportFormat] = {
    FormatName.OPENAI: ImportFormat.OPENAI,
    FormatName.ALPACA: ImportFormat.ALPACA,
    FormatName.SHAREGPT: ImportFormat.SHAREGPT,
    FormatName.TRL: ImportFormat.TRL,
}
"""The formats that not every item can be written in."""
TEXT_FORMATS: Mapping[FormatName, TextFormat] = {
    FormatName.CSV: CSV,
    FormatName.JSONL: JSONL,
    FormatName.JSON: JSON,
    **{
        name: TextFormat(JSON_LINES, _nothing, partial(_line_in, format))
        for name, format in LINE_FORMATS.items()
    },
}


async def items_as_text(
    transactions: Transactions,
    dataset: Dataset,
    format: TextFormat,
    split: Split | None,
    selection: ItemSelection,
) -> AsyncGenerator[str, None]:
    """The file item by item, from a server-side cursor."""
    yield format.head(dataset)
    separator = ""
    async with transactions.begin() as store:
        items = store.items.stream(dataset.id, split=split, selection=selection, viewer_id=dataset.owner_id)
        async with aclosing(items):
            async for item in items:
                yield separator + format.text(dataset, item)
                separator = format.separator
    yield format.tail
