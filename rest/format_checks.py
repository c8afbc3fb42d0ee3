"""Whether a format can hold the items of a dataset, found before the first byte of a download is sent."""

from contextlib import aclosing

from starlette.requests import ClientDisconnect, Request

from domain.conversations import ItemFormat
from domain.datasets import Dataset
from domain.errors import Conflict
from domain.items import Item, ItemSelection
from domain.line_formats.conversion import write_text
from domain.line_formats.lines import CannotHold
from domain.splits import Split
from rest.dataset_formats import LINE_FORMATS, FormatName
from rest.endpoints import services_of

ITEMS_PER_CHECK = 500
"""Items after which is asked whether the client is still there."""


async def check_holds(
    request: Request, format: FormatName, dataset: Dataset, split: Split | None, selection: ItemSelection
) -> None:
    """Raise `Conflict` FORMAT_CANNOT_HOLD at the first selected item that the format cannot hold.

    All items are read once and written to nowhere, but for prompts with completions, which every format holds.
    Raises `ClientDisconnect`.
    """
    if format not in LINE_FORMATS or dataset.item_format is ItemFormat.PROMPT_COMPLETION:
        return
    async with services_of(request).transactions.begin() as store:
        items = store.items.stream(dataset.id, split=split, selection=selection, viewer_id=dataset.owner_id)
        async with aclosing(items):
            count = 0
            async for item in items:
                _check(format, dataset, item)
                count += 1
                if count % ITEMS_PER_CHECK == 0 and await request.is_disconnected():
                    raise ClientDisconnect


def _check(format: FormatName, dataset: Dataset, item: Item) -> None:
    try:
        write_text(LINE_FORMATS[format], item.values, dataset)
    except CannotHold as refusal:
        advice = "" if item.is_valid else " `items=valid` leaves invalid items out."
        raise Conflict(
            f"The format {format} cannot hold the item {item.id}: {refusal.message}.{advice}",
            reason="FORMAT_CANNOT_HOLD",
            context={"itemId": item.id, "position": item.position},
        ) from None
