"""Downloads of datasets, streamed from the database row by row."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.datasets import Dataset, RunStatus
from domain.errors import Conflict, Invalid
from domain.files.csv_writer import BOM, csv_line
from domain.items import Item, ItemSelection
from domain.rate_limits import CallKind
from domain.rules import safe_name
from domain.splits import Split
from domain.store import Transactions
from rest.endpoints import endpoint, require_of_path, services_of, viewer_id
from rest.rate_limits import rate_limited
from rest.streaming import ClosingStreamingResponse, batched

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: its first line, and the line of an item; both take the names of the dataset's fields."""

    media_type: str
    head: Callable[[Sequence[str]], str]
    line: Callable[[Sequence[str], Item], str]


def _json_line(names: Sequence[str], item: Item) -> str:
    return json.dumps(dict(zip(names, item.values, strict=True)), ensure_ascii=False) + "\n"


FORMATS = {
    "csv": Format(
        "text/csv; charset=utf-8",
        head=lambda names: BOM + csv_line(names),
        line=lambda _, item: csv_line(item.values),
    ),
    "jsonl": Format("application/jsonl", head=lambda _: "", line=_json_line),
}
RAW_CSV = Format(
    "text/csv; charset=utf-8",
    head=lambda names: BOM + csv_line(names, raw=True),
    line=lambda _, item: csv_line(item.values, raw=True),
)
"""CSV with formulas as they are, which a spreadsheet would run."""


@endpoint
@rate_limited(CallKind.READS)
async def download(request: Request) -> Response:
    """The items of a dataset as a file. Parameters: `format` (csv, jsonl), `items`, `split` and `raw`."""
    viewer = viewer_id(request, allow_ticket=True)
    name = request.query_params.get("format", "csv")
    if name not in FORMATS:
        raise Invalid(f"`format` is one of {', '.join(FORMATS)}, not '{name}'.", reason="UNSUPPORTED_FORMAT")
    selection = _choice(request, "items", ItemSelection) or ItemSelection.ACTIVE
    split = _choice(request, "split", Split)
    format = RAW_CSV if _flag(request, "raw") and name == "csv" else FORMATS[name]
    dataset = await _require_done(request, viewer)
    filename = f"{safe_name(dataset.name)}_v{dataset.version}.{name}"
    return ClosingStreamingResponse(
        batched(items_as_text(services_of(request).transactions, dataset, format, split, selection)),
        media_type=format.media_type,
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )


def _flag(request: Request, name: str) -> bool:
    """Whether a query parameter is 1 or true; raises `Invalid` unless it is that, 0, false or absent."""
    given = request.query_params.get(name, "0").lower()
    if given not in {"0", "1", "false", "true"}:
        raise Invalid(f"`{name}` is 0 or 1, not '{given[:50]}'.", reason="INVALID_PARAMETER")
    return given in {"1", "true"}


def _choice(request: Request, name: str, choices: type[Choice]) -> Choice | None:
    """A query parameter as a member of an enum, in any case; raises `Invalid`."""
    given = request.query_params.get(name)
    if given is None:
        return None
    for choice in choices:
        if choice.value.lower() == given.lower():
            return choice
    raise Invalid(f"`{name}` is one of {', '.join(choices)}, not '{given}'.", reason="INVALID_PARAMETER")


async def _require_done(request: Request, viewer: str) -> Dataset:
    """The dataset of the path; raises `NotFound`, or `Conflict` while it is not DONE."""
    dataset = await require_of_path(request, lambda store: store.datasets, "dataset_id", viewer_id=viewer)
    if dataset.status is not RunStatus.DONE:
        raise Conflict(
            f"The dataset is {dataset.status}; it can be downloaded once it is DONE.", reason="NOT_READY"
        )
    return dataset


async def items_as_text(
    transactions: Transactions,
    dataset: Dataset,
    format: Format,
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


ROUTES = [
    Route("/api/projects/{project_id}/training-datasets/{dataset_id}/download", download, methods=["GET"])
]
