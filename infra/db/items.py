"""Items as rows: read, filtered, counted and corrected here; added in bulk and recomputed by `bulk_items`."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, RowMapping, func, insert, literal_column, or_, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by

from domain.datasets import Dataset
from domain.ids import Noun
from domain.item_problems import ProblemCode
from domain.items import DatasetStats, Item, ItemFilter, ItemSelection, Source
from domain.pages import PageRequest
from domain.reading import Parent
from domain.splits import Split, SplitStats
from infra.db import bulk_items
from infra.db.bulk_items import ACTIVE, READ_COLUMNS, VALID
from infra.db.columns import column_names
from infra.db.engine import extend_statement_timeout
from infra.db.reading import Parents, Reader, Row
from infra.db.tables import datasets, items, projects

EMPTY_HASH = hashlib.sha256().hexdigest()


FLAGS: Mapping[ProblemCode, ColumnElement[bool]] = {
    ProblemCode.DUPLICATE: items.c.is_duplicate,
    ProblemCode.NEAR_DUPLICATE: items.c.is_near_duplicate,
    ProblemCode.CONTRADICTION: items.c.is_contradiction,
}
"""The columns of the problems that other items cause."""


def _has(code: ProblemCode) -> ColumnElement[bool]:
    """Whether an item has a problem."""
    if code in FLAGS:
        return FLAGS[code].is_(True)
    stored = [{"code": code}]
    return or_(items.c.problems.contains(stored), items.c.warnings.contains(stored))


COUNTS: Mapping[str, ColumnElement[Any]] = {
    "total": func.count().filter(ACTIVE),
    "valid": func.count().filter(VALID),
    "deleted": func.count().filter(items.c.deleted),
    "corrected": func.count().filter(items.c.corrected_by_id.is_not(None)),
    "avg_token_count": func.avg(items.c.token_count).filter(ACTIVE),
}
TOKENS: Mapping[str, Any] = {
    "count": func.count,
    "avg_tokens": func.avg,
    "min_tokens": func.min,
    "max_tokens": func.max,
}
BY_SPLIT: Mapping[str, ColumnElement[Any]] = {
    f"{split}_{name}": aggregate(items.c.token_count).filter(VALID, items.c.split == split)
    for split in Split
    for name, aggregate in TOKENS.items()
}
BY_PROBLEM: Mapping[str, ColumnElement[Any]] = {
    code.value: func.count().filter(ACTIVE, _has(code)) for code in ProblemCode
}
CONTENT_HASH = func.encode(
    func.sha256(
        func.string_agg(items.c.digest, aggregate_order_by(literal_column("''::bytea"), items.c.digest))
    ),
    "hex",
)


class SqlItems(Reader[Item]):
    """The items of one transaction, in the order of their dataset."""

    name = "items"
    noun = Noun.ITEM
    parents: ClassVar[Parents] = {Parent.DATASET: items.c.dataset_id}
    source = items.outerjoin(datasets).outerjoin(projects, datasets.c.project_id == projects.c.id)
    columns = READ_COLUMNS
    projectable = column_names(columns, "problems", "warnings")
    order = (items.c.position, items.c.id)
    newest_first = False

    def build(self, row: Row) -> Item:
        return build(row)

    def matching(self, where: ItemFilter) -> list[ColumnElement[bool]]:
        found = [
            column == value
            for column, value in (
                (items.c.split, where.split),
                (items.c.is_valid, where.is_valid),
                (items.c.deleted, where.deleted),
                (ACTIVE, where.active),
            )
            if value is not None
        ]
        if where.problem is not None:
            found.append(_has(where.problem))
        if where.search:
            searched = func.coalesce(items.c.search_text, func.array_to_string(items.c["values"], "\n"))
            found.append(searched.icontains(where.search, autoescape=True))
        return found

    async def add_many(self, items: AsyncIterator[Item]) -> int:
        return await bulk_items.add_many(self._session, items)

    async def add(self, item: Item) -> None:
        await self._session.execute(insert(items).values(**bulk_items.values_of(item)))

    async def set_corrected(self, id: str, by_id: str) -> bool:
        await extend_statement_timeout(self._session)  # the dataset is recomputed after it
        corrected = update(items).where(items.c.id == id, ACTIVE).values(corrected_by_id=by_id)
        return (await self._session.scalar(corrected.returning(items.c.id))) is not None

    async def set_deleted(
        self,
        dataset_id: str,
        deleted: bool,
        *,
        item_ids: Sequence[str] | None = None,
        where: ItemFilter | None = None,
    ) -> int:
        await extend_statement_timeout(self._session)
        conditions = [] if where is None else self.matching(where)
        if item_ids is not None:
            conditions.append(items.c.id.in_(item_ids))
        changed = (
            update(items)
            .where(items.c.dataset_id == dataset_id, items.c.deleted != deleted, *conditions)
            .where(items.c.corrected_by_id.is_(None))
            .values(deleted=deleted)
        )
        return int((await self._session.execute(changed)).rowcount)  # type: ignore[attr-defined]

    async def recompute(self, dataset: Dataset) -> None:
        await bulk_items.recompute(self._session, dataset)

    async def next_position(self, dataset_id: str) -> int:
        last = select(func.max(items.c.position)).where(items.c.dataset_id == dataset_id)
        found = await self._session.scalar(last)
        return 0 if found is None else found + 1

    async def sample(self, dataset_ids: list[str], first: int, *, viewer_id: str) -> dict[str, list[Item]]:
        page, active = PageRequest(size=first), ItemFilter(active=True)
        found = await self.pages(
            dataset_ids, page, parent_kind=Parent.DATASET, where=active, viewer_id=viewer_id
        )
        return {dataset_id: list(page.rows) for dataset_id, page in found.items()}

    async def stats(
        self, dataset_ids: list[str], *, document_id: str | None = None, viewer_id: str
    ) -> dict[str, DatasetStats]:
        """Counts over each dataset's items, in one scan of them."""
        columns = COUNTS | BY_SPLIT | BY_PROBLEM  # type: ignore[operator]
        statement = self._of(
            dataset_ids, viewer_id, *(column.label(name) for name, column in columns.items())
        )
        if document_id is not None:
            statement = statement.where(items.c.document_id == document_id)
        found = (await self._session.execute(statement)).mappings()
        return dict.fromkeys(dataset_ids, DatasetStats()) | {row["dataset_id"]: _stats(row) for row in found}

    async def content_hashes(self, dataset_ids: list[str], *, viewer_id: str) -> dict[str, str]:
        statement = self._of(dataset_ids, viewer_id, CONTENT_HASH).where(ACTIVE)
        found = await self._session.execute(statement)
        return dict.fromkeys(dataset_ids, EMPTY_HASH) | dict(found.all())

    def _of(self, dataset_ids: list[str], viewer_id: str, *aggregates: ColumnElement[Any]) -> Any:
        """Aggregates over the items of each dataset."""
        return (
            select(items.c.dataset_id, *aggregates)
            .select_from(self.source)
            .where(items.c.dataset_id.in_(dataset_ids), self.visible(viewer_id))
            .group_by(items.c.dataset_id)
        )

    def stream(
        self, dataset_id: str, *, split: Split | None, selection: ItemSelection, viewer_id: str
    ) -> AsyncGenerator[Item, None]:
        where = ItemFilter(
            split=split,
            active=None if selection is ItemSelection.ALL else True,
            is_valid=True if selection is ItemSelection.VALID else None,
        )
        statement = self._filtered(where, viewer_id).where(items.c.dataset_id == dataset_id)
        return self.streamed(statement.order_by(*self.order))


def build(row: Row) -> Item:
    """An item from its row."""
    source = Source(
        document_id=row["document_id"],
        source_document=row["source_document"],
        start=row["source_start"],
        end=row["source_end"],
    )
    return Item(
        **bulk_items.plain_fields(row)
        | {
            "problems": bulk_items.problems_of_row(row),
            "is_valid": row["is_valid"],
            "source": None if source == Source() else source,
        }
    )


def _stats(row: RowMapping) -> DatasetStats:
    """A dataset's counts, without splits and problems that no item has."""
    avg, total, valid = row["avg_token_count"], row["total"], row["valid"]
    return DatasetStats(
        total=total,
        valid=valid,
        invalid=total - valid,
        active=total,
        deleted=row["deleted"],
        corrected=row["corrected"],
        avg_token_count=None if avg is None else float(avg),
        by_split=tuple(_split_stats(row, split) for split in Split if row[f"{split}_count"]),
        problems=tuple((code, row[code.value]) for code in ProblemCode if row[code.value]),
    )


def _split_stats(row: RowMapping, split: Split) -> SplitStats:
    return SplitStats(
        split=split,
        count=row[f"{split}_count"],
        avg_tokens=float(row[f"{split}_avg_tokens"]),
        min_tokens=row[f"{split}_min_tokens"],
        max_tokens=row[f"{split}_max_tokens"],
    )
