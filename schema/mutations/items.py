"""Correcting, deleting and restoring dataset items."""

from collections.abc import Sequence

import strawberry

from resolvers import items as resolve
from schema.shared.context import Info
from schema.shared.inputs import optional, or_none
from schema.shared.payloads import Payload, mutation, outcome
from schema.types.datasets import Dataset
from schema.types.items import DatasetItem, ItemFilter, condition


@strawberry.input(description="What an item should have been.")
class CorrectItemInput:
    """What an item should have been."""

    item_id: strawberry.ID = strawberry.field(description="The item that is wrong.")
    values: list[str] = strawberry.field(description="A text for each field name, in their order.")


@strawberry.type(description="The new item.")
class CorrectItemPayload(Payload):
    """The new item."""

    item: DatasetItem | None = outcome("It corrects the old one.")


@strawberry.input(
    description="itemIds (at most 250, all of one dataset), or datasetId with a filter: exactly one of the two."
)
class DeleteItemsInput:
    """Which items to delete or restore."""

    item_ids: list[strawberry.ID] | None = optional("The items, at most 250.")
    dataset_id: strawberry.ID | None = optional("Their dataset, with a filter.")
    filter: ItemFilter | None = optional("Which of the dataset's items; {} takes all.")


@strawberry.type(description="The dataset, and how many of its items changed.")
class DeleteItemsPayload(Payload):
    """The dataset, and how many of its items changed."""

    dataset: Dataset | None = outcome("Their dataset.")
    count: int | None = outcome("How many changed.")


async def _set_deleted(info: Info, deleted: bool, input: DeleteItemsInput) -> DeleteItemsPayload:
    item_ids: Sequence[str] | None = or_none(input.item_ids)
    dataset, count = await resolve.set_deleted(
        info.context,
        deleted,
        item_ids=item_ids,
        dataset_id=or_none(input.dataset_id),
        where=condition(or_none(input.filter)),
    )
    return DeleteItemsPayload(dataset=Dataset.of(dataset), count=count)


@strawberry.type
class ItemMutations:
    """What may be done with items."""

    @mutation
    async def correct_item(self, info: Info, input: CorrectItemInput) -> CorrectItemPayload:
        """Makes a new item that takes the place of a wrong one, which stays as it was."""
        corrected = await resolve.correct(info.context, input.item_id, input.values)
        return CorrectItemPayload(item=DatasetItem.of(corrected))

    @mutation
    async def delete_items(self, info: Info, input: DeleteItemsInput) -> DeleteItemsPayload:
        """Deletes items; restoreItems brings them back."""
        return await _set_deleted(info, deleted=True, input=input)

    @mutation
    async def restore_items(self, info: Info, input: DeleteItemsInput) -> DeleteItemsPayload:
        """Restores deleted items."""
        return await _set_deleted(info, deleted=False, input=input)
