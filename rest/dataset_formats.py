"""The text formats of a dataset's download, which are written line by line."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

from domain.datasets import Dataset
from domain.files.csv_writer import BOM, csv_line
from domain.items import Item, ItemSelection
from domain.splits import Split
from domain.store import Transactions


class FormatName(StrEnum):
    """What `?format=` may be."""

    CSV = "csv"
    JSONL = "jsonl"
    XLSX = "xlsx"


@dataclass(frozen=True, slots=True)
class TextFormat:
    """The first line of a file, and the line of an item; both take the names of the dataset's fields."""

    media_type: str
    head: Callable[[Sequence[str]], str]
    line: Callable[[Sequence[str], Item], str]


def _json_line(names: Sequence[str], item: Item) -> str:
    return json.dumps(dict(zip(names, item.values, strict=True)), ensure_ascii=False) + "\n"


CSV = TextFormat(
    "text/csv; charset=utf-8",
    head=lambda names: BOM + csv_line(names),
    line=lambda _, item: csv_line(item.values),
)
RAW_CSV = TextFormat(
    "text/csv; charset=utf-8",
    head=lambda names: BOM + csv_line(names, raw=True),
    line=lambda _, item: csv_line(item.values, raw=True),
)
"""CSV with formulas as they are, which a spreadsheet would run."""
JSONL = TextFormat("application/jsonl", head=lambda _: "", line=_json_line)


async def items_as_text(
    transactions: Transactions,
    dataset: Dataset,
    format: TextFormat,
    split: Split | None,
    selection: ItemSelection,
) -> AsyncGenerator[str, None]:
    """The file line by line, from a server-side cursor."""
    yield format.head(dataset.field_names)
    async with transactions.begin() as store:
        items = store.items.stream(dataset.id, split=split, selection=selection, viewer_id=dataset.owner_id)
        async with aclosing(items):
            async for item in items:
                yield format.line(dataset.field_names, item)
