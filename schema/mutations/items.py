"""Correcting, deleting and restoring dataset items."""

from collections.abc import Sequence

import strawberry

from resolvers import items as resolve
from schema.shared.context import Info
from schema.shared.inputs import optional, or_none
from schema.shared.payloads import Payload, mutation, payload_field
from schema.shared.scalars import JSON
from schema.types.datasets import Dataset
from schema.types.items import DatasetItem, ItemFilter, condition


@strawberry.input(description="A correction of an item: either `values` or `line`.")
class CorrectItemInput:
    item_id: strawberry.ID = strawberry.field(description="TypeID of the item to correct; it must be active.")
    values: list[str] | None = optional(
        "New field values, one for each of the dataset's `fieldNames`, in that order."
    )
    line: JSON | None = optional(
        "New values as an object, as the download in OpenAI's format writes it: `messages` (with `tools` and "
        "`parallel_tool_calls`); `input`, `preferred_output` and `non_preferred_output`; or `prompt` and `completion`. "
        "One that breaks a rule of the format is refused."
    )


@strawberry.type(description="Result of `correctItem`.")
class CorrectItemPayload(Payload):
    item: DatasetItem | None = payload_field("The new item, which replaces the corrected one.")


@strawberry.input(
    description="The items to delete or restore: either `itemIds`, or `datasetId` with `filter`."
)
class DeleteItemsInput:
    item_ids: list[strawberry.ID] | None = optional("TypeIDs of 1 to 250 items of one dataset.")
    dataset_id: strawberry.ID | None = optional("Dataset of the items; needs a `filter`.")
    filter: ItemFilter | None = optional("Conditions on the items; `{}` selects all items of the dataset.")


@strawberry.type(description="Result of `deleteItems` or `restoreItems`.")
class DeleteItemsPayload(Payload):
    dataset: Dataset | None = payload_field("The dataset of the items.")
    count: int | None = payload_field("Number of items that changed.")


async def _set_deleted(info: Info, deleted: bool, input: DeleteItemsInput) -> DeleteItemsPayload:
    item_ids: Sequence[str] | None = or_none(input.item_ids)
    dataset, count = await resolve.set_deleted(
        info.context,
        deleted,
        item_ids=item_ids,
        dataset_id=or_none(input.dataset_id),
        where=condition(or_none(input.filter)),
    )
    return DeleteItemsPayload(dataset=Dataset.from_domain(dataset), count=count)


@strawberry.type
class ItemMutations:
    @mutation
    async def correct_item(self, info: Info, input: CorrectItemInput) -> CorrectItemPayload:
        """Creates a new item that replaces an active one in its dataset; the old item is kept and linked. A conversation or a preference pair that breaks a rule is refused, with the number of the message, counted from 1."""
        values, line = or_none(input.values), or_none(input.line)
        corrected = await resolve.correct(info.context, input.item_id, values=values, line=line)
        return CorrectItemPayload(item=DatasetItem.from_domain(corrected))

    @mutation
    async def delete_items(self, info: Info, input: DeleteItemsInput) -> DeleteItemsPayload:
        """Marks items as deleted, which `restoreItems` undoes; items that a correction replaces stay as they are."""
        return await _set_deleted(info, deleted=True, input=input)

    @mutation
    async def restore_items(self, info: Info, input: DeleteItemsInput) -> DeleteItemsPayload:
        """Restores deleted items; items that a correction replaces stay as they are."""
        return await _set_deleted(info, deleted=False, input=input)
