"""Resolvers of dataset items."""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.datasets import Dataset
from domain.items import DatasetStats, Item, ItemFilter
from domain.use_cases import items
from resolvers.context import Context


async def correct(context: Context, id: str, *, values: Sequence[str] | None, line: Any) -> Item:
    """Replace an item by a new one with these values, or those of a line in OpenAI's format."""
    viewer = context.viewer_id
    async with context.transactions.begin() as store:
        return await items.correct(store, id, values=values, line=line, viewer_id=viewer, now=context.now())


async def set_deleted(
    context: Context,
    deleted: bool,
    *,
    item_ids: Sequence[str] | None,
    dataset_id: str | None,
    where: ItemFilter | None,
) -> tuple[Dataset, int]:
    """Delete or restore items of one dataset; returns how many changed."""
    async with context.transactions.begin() as store:
        return await items.set_deleted(
            store,
            deleted,
            item_ids=item_ids,
            dataset_id=dataset_id,
            where=where,
            viewer_id=context.viewer_id,
        )


async def stats(context: Context, dataset_ids: list[str]) -> Mapping[str, DatasetStats]:
    """Counts over each dataset's items."""
    async with context.transactions.read() as store:
        return await store.items.stats(dataset_ids, viewer_id=context.viewer_id)


async def sample(context: Context, dataset_ids: list[str], first: int) -> Mapping[str, list[Item]]:
    """The first active items of each dataset."""
    async with context.transactions.read() as store:
        return await store.items.sample(dataset_ids, first, viewer_id=context.viewer_id)


async def content_hashes(context: Context, dataset_ids: list[str]) -> Mapping[str, str]:
    """A hash of each dataset's active items."""
    async with context.transactions.read() as store:
        return await store.items.content_hashes(dataset_ids, viewer_id=context.viewer_id)
