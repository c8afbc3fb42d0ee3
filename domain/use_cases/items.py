"""Use cases of items."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from domain.conversations import ItemFormat
from domain.datasets import Dataset, RunStatus
from domain.errors import Conflict, Invalid
from domain.ids import Noun
from domain.import_formats import ImportFormat
from domain.item_problems import FORMAT_CODES
from domain.items import VALUE_LIMIT, Item, ItemFilter, ItemOrigin, new_item
from domain.line_formats.conversion import read_line
from domain.line_formats.lines import NotUnderstood
from domain.reading import not_found_error, require, require_locked
from domain.rules import validated_text
from domain.store import ReadStore, Store


async def correct(
    store: Store, id: str, *, values: Sequence[str] | None, line: Any, viewer_id: str, now: datetime
) -> Item:
    """A new item that corrects an old one, at the same position; the old item is kept.

    Its values are given, or else a line in OpenAI's format that has them. Raises `Invalid` where a line, or the JSON of
    a conversation or a preference pair, breaks a rule of its format.
    """
    if (values is None) == (line is None):
        raise Invalid("Give `values` or `line`: one of the two.", reason="AMBIGUOUS", field="values")
    old = await require(store.items, id, viewer_id=viewer_id)
    dataset = await _require_editable(store, old.dataset_id, viewer_id=viewer_id)
    item = new_item(
        dataset,
        _values_of_line(dataset, line) if values is None else _named_values(dataset, values),
        key=f"corrects {id}",
        position=old.position,
        origin=ItemOrigin.CORRECTED,
        now=now,
        source=old.source,
    )
    if values is None or dataset.item_format is not ItemFormat.PROMPT_COMPLETION:
        _check_format(item, "line" if values is None else "values")
    item = replace(item, corrects_id=id)
    if not await store.items.set_corrected(id, item.id):
        raise Conflict(
            "The item is deleted or was corrected already; correct the newest one.",
            reason="ITEM_NOT_ACTIVE",
            field="itemId",
        )
    await store.items.add(item)
    await store.items.recompute(dataset)
    return await store.items.get(item.id, viewer_id=viewer_id) or item


def _named_values(dataset: Dataset, values: Sequence[str]) -> dict[str, str]:
    if len(values) != len(dataset.field_names):
        raise Invalid(
            f"An item has {len(dataset.field_names)} values ({', '.join(dataset.field_names)}), not {len(values)}.",
            reason="WRONG_NUMBER_OF_VALUES",
            field="values",
        )
    named = zip(dataset.field_names, values, strict=True)
    return {name: validated_text(value, "values", limit=VALUE_LIMIT) for name, value in named}


def _values_of_line(dataset: Dataset, line: Any) -> dict[str, str]:
    if not isinstance(line, dict):
        raise Invalid("`line` is not a JSON object.", reason="INVALID_LINE", field="line")
    try:
        read = read_line(ImportFormat.OPENAI, line, dataset)
    except NotUnderstood as error:
        raise Invalid(error.message, reason="INVALID_LINE", field="line") from None
    if read.ignored:
        message = f"The line has the unknown key '{read.ignored[0][:100]}'."
        raise Invalid(message, reason="INVALID_LINE", field="line")
    return {name: validated_text(value, "line", limit=VALUE_LIMIT) for name, value in read.values.items()}


def _check_format(item: Item, field: str) -> None:
    broken = next((problem for problem in item.problems if problem.code in FORMAT_CODES), None)
    if broken is not None:
        raise Invalid(broken.message, reason=broken.code, field=field)


async def set_deleted(
    store: Store,
    deleted: bool,
    *,
    item_ids: Sequence[str] | None,
    dataset_id: str | None,
    where: ItemFilter | None,
    viewer_id: str,
) -> tuple[Dataset, int]:
    """Delete or restore items of one dataset by id or by filter; the dataset, and how many items changed."""
    if (item_ids is None) == (dataset_id is None):
        raise Invalid(
            "Give `itemIds`, or `datasetId` with a `filter`: one of the two.",
            reason="AMBIGUOUS",
            field="itemIds",
        )
    if item_ids is not None:
        dataset_id = await _dataset_of(store, item_ids, viewer_id=viewer_id)
    elif where is None:
        raise Invalid(
            "With `datasetId` a `filter` is needed; {} takes all.", reason="REQUIRED", field="filter"
        )
    dataset = await _require_editable(store, dataset_id or "", viewer_id=viewer_id)
    count = await store.items.set_deleted(dataset.id, deleted, item_ids=item_ids, where=where)
    await store.items.recompute(dataset)
    return dataset, count


async def _dataset_of(store: ReadStore, item_ids: Sequence[str], *, viewer_id: str) -> str:
    if not 1 <= len(item_ids) <= 250:
        raise Invalid("Give from 1 to 250 item ids.", reason="OUT_OF_RANGE", field="itemIds")
    found = await store.items.many(list(item_ids), viewer_id=viewer_id)
    if unknown := [id for id in item_ids if id not in found]:
        raise not_found_error(Noun.ITEM, unknown[0])
    dataset_ids = {item.dataset_id for item in found.values()}
    if len(dataset_ids) > 1:
        raise Invalid("The items must all be of one dataset.", reason="SEVERAL_DATASETS", field="itemIds")
    return str(dataset_ids.pop())


async def _require_editable(store: Store, dataset_id: str, *, viewer_id: str) -> Dataset:
    dataset = await require_locked(store.datasets, dataset_id, viewer_id=viewer_id)
    if dataset.status is RunStatus.RUNNING:
        raise Conflict("The dataset is being imported into; wait until it is DONE.", reason="DATASET_BUSY")
    return dataset
