"""The items that fine-tunes were trained on, as rows that refer to items."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Select, cast, func, literal, select, union_all
from sqlalchemy import Text as AsText
from sqlalchemy.dialects.postgresql import insert

from domain.datasets import Dataset
from domain.finetunes import ItemSampling
from domain.items import Item
from domain.reading import Parent
from domain.splits import Split
from infra.db import items as item_rows
from infra.db.bulk_items import READ_COLUMNS, VALID
from infra.db.engine import extend_statement_timeout
from infra.db.reading import Parents, Reader, Row
from infra.db.tables import finetune_items, finetunes, items, projects

FROZEN_SPLIT = "frozen_split"
OF_PROJECT = finetunes.c.project_id == projects.c.id


class SqlFrozenItems(Reader[Item]):
    """The items that fine-tunes are trained on, in order. Values of items never change, so a reference is enough."""

    name = "trained_items"
    parents: ClassVar[Parents] = {Parent.FINETUNE: finetune_items.c.finetune_id}
    source = finetune_items.join(items).outerjoin(finetunes).outerjoin(projects, OF_PROJECT)
    columns = (*READ_COLUMNS, finetune_items.c.ordinal, finetune_items.c.split.label(FROZEN_SPLIT))
    order = (finetune_items.c.ordinal,)
    newest_first = False

    def build(self, row: Row) -> Item:
        """An item, with its split in the run."""
        return replace(item_rows.build(row), split=row[FROZEN_SPLIT])

    def present(self) -> list[ColumnElement[bool]]:
        """Only the items of the training split."""
        return [finetune_items.c.split == Split.TRAIN]

    async def freeze(self, finetune_id: str, dataset: Dataset, sampling: ItemSampling) -> tuple[int, str]:
        """Store which items a run uses; returns how many it is trained on, and their content hash."""
        await extend_statement_timeout(self._session)
        chosen = union_all(_trained(dataset.id, sampling), _held_out(dataset.id)).subquery()
        ordinal = func.row_number().over(order_by=(chosen.c.position, chosen.c.id))
        rows = select(literal(finetune_id, finetunes.c.id.type), ordinal, chosen.c.id, chosen.c.split)
        names = ["finetune_id", "ordinal", "item_id", "split"]
        await self._session.execute(insert(finetune_items).from_select(names, rows))
        return await self._content(finetune_id)

    async def _content(self, finetune_id: str) -> tuple[int, str]:
        """The number of trained items, and the SHA-256 over their digests, whatever their order."""
        statement = (
            select(func.count(), item_rows.CONTENT_HASH)
            .select_from(finetune_items.join(items))
            .where(finetune_items.c.finetune_id == finetune_id, finetune_items.c.split == Split.TRAIN)
        )
        count, content_hash = (await self._session.execute(statement)).one()
        return count, content_hash or ""

    def stream(self, finetune_id: str) -> AsyncGenerator[Item, None]:
        """The items of a run in order, of both splits, from a server-side cursor."""
        statement = (
            select(*self.columns)
            .select_from(self.source)
            .where(finetune_items.c.finetune_id == finetune_id)
            .order_by(finetune_items.c.ordinal)
        )
        return self.streamed(statement)


def _usable(dataset_id: str, split: Split) -> Select[Any]:
    return select(items.c.id, items.c.position, items.c.split).where(
        items.c.dataset_id == dataset_id,
        items.c.split == split,
        VALID,
    )


def _trained(dataset_id: str, sampling: ItemSampling) -> Any:
    """The first ones, or random ones: by a hash of id and seed, which is the same on every machine."""
    random_order = func.md5(func.concat(cast(items.c.id, AsText), ":", sampling.seed))
    order = (random_order, items.c.id) if sampling.random else (items.c.position, items.c.id)
    return _usable(dataset_id, Split.TRAIN).order_by(*order).limit(sampling.number).subquery().select()


def _held_out(dataset_id: str) -> Select[Any]:
    return _usable(dataset_id, Split.EVAL)
