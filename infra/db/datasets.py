"""Datasets as rows. A deleted one is absent, except for fine-tunes that refer to it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from sqlalchemy import Column, ColumnElement, delete, func, insert, lateral, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.datasets import Dataset, DatasetFilter, PromptRevision, RunStatus
from domain.documents import Document
from domain.ids import Noun
from domain.reading import Parent
from infra.db.columns import column_names, record_columns
from infra.db.documents import SqlDocuments
from infra.db.engine import extend_statement_timeout
from infra.db.reading import Parents, Reader, Row
from infra.db.tables import (
    dataset_documents,
    datasets,
    documents,
    finetune_items,
    items,
    projects,
    prompt_revisions,
)
from infra.db.tenancy import visible_to

COLUMNS = record_columns(Dataset, datasets)


class SqlImportedDocuments(SqlDocuments):
    """The documents that datasets were imported from, newest first."""

    source = dataset_documents.join(documents).outerjoin(projects, documents.c.project_id == projects.c.id)
    parents: ClassVar[Parents] = {Parent.DATASET: dataset_documents.c.dataset_id}
    columns: ClassVar[list[Column[Any]]] = [*SqlDocuments.columns, dataset_documents.c.document_id]
    order = (dataset_documents.c.document_id,)

    def build(self, row: Row) -> Document:
        return super().build({name: value for name, value in row.items() if name != "document_id"})


class SqlDatasets(Reader[Dataset]):
    """The datasets of one transaction, newest first."""

    name = "datasets"
    noun = Noun.DATASET
    parents: ClassVar[Parents] = {Parent.PROJECT: datasets.c.project_id}
    source = datasets.outerjoin(projects, datasets.c.project_id == projects.c.id)
    columns = COLUMNS
    projectable = column_names(COLUMNS)
    order = (datasets.c.id,)
    project = datasets.c.project_id

    def build(self, row: Row) -> Dataset:
        return Dataset(**row)

    def present(self) -> list[ColumnElement[bool]]:
        """Those that are not deleted."""
        return [datasets.c.status != RunStatus.DELETED]

    def matching(self, where: DatasetFilter) -> list[ColumnElement[bool]]:
        return [] if where.status is None else [datasets.c.status == where.status]

    async def add(self, dataset: Dataset) -> None:
        values = asdict(dataset)
        values.pop("owner_id")
        await self._session.execute(insert(datasets).values(**values))

    async def change(self, id: str, values: Mapping[str, Any]) -> None:
        await self._session.execute(update(datasets).where(datasets.c.id == id).values(**values))

    async def lock(self, id: str, *, viewer_id: str) -> Dataset | None:
        """Read a dataset and lock its row until the transaction ends; items may still be added to it."""
        locked = self.rows(viewer_id).where(datasets.c.id == id).with_for_update(of=datasets, key_share=True)
        return (await self._by_id(locked)).get(id)

    async def owner_of(self, id: str) -> str | None:
        owner = (
            select(projects.c.owner_id)
            .select_from(self.source)
            .where(datasets.c.id == id, datasets.c.status != RunStatus.DELETED)
        )
        found: str | None = await self._session.scalar(owner)
        return found

    async def including_deleted(self, ids: list[str], *, viewer_id: str) -> dict[str, Dataset]:
        visible = visible_to(viewer_id)
        return await self._by_id(
            select(*COLUMNS).select_from(self.source).where(visible, datasets.c.id.in_(ids))
        )

    async def add_revision(self, id: str, revision: PromptRevision) -> None:
        await self._session.execute(insert(prompt_revisions).values(dataset_id=id, **asdict(revision)))

    async def revisions(self, ids: list[str], first: int) -> dict[str, list[PromptRevision]]:
        of_dataset = (
            select(prompt_revisions)
            .where(prompt_revisions.c.dataset_id == datasets.c.id)
            .order_by(prompt_revisions.c.id.desc())
            .limit(first)
        )
        newest = lateral(of_dataset.correlate(datasets), name="newest")
        statement = (
            select(newest.c.dataset_id, newest.c.prompt, newest.c.created_at)
            .select_from(datasets.join(newest, literal(value=True)))
            .where(datasets.c.id.in_(ids))
            .order_by(newest.c.id.desc())
        )
        found: dict[str, list[PromptRevision]] = {id: [] for id in ids}
        for dataset_id, prompt, created_at in await self._session.execute(statement):
            found[dataset_id].append(PromptRevision(prompt, created_at))
        return found

    async def link(self, id: str, document_id: str, size_bytes: int) -> bool:
        linked = upsert(dataset_documents).values(dataset_id=id, document_id=document_id)
        is_new = await self._session.scalar(
            linked.on_conflict_do_nothing().returning(dataset_documents.c.dataset_id)
        )
        if is_new is None:
            return False
        counts = {
            "file_count": datasets.c.file_count + 1,
            "total_size_bytes": datasets.c.total_size_bytes + size_bytes,
        }
        await self.change(id, counts | {"updated_at": func.now()})
        return True

    async def delete(self, id: str) -> None:
        await extend_statement_timeout(self._session)
        is_frozen = select(finetune_items.c.item_id).where(finetune_items.c.item_id == items.c.id).exists()
        await self._session.execute(delete(items).where(items.c.dataset_id == id, ~is_frozen))
        await self.change(id, {"status": RunStatus.DELETED, "updated_at": func.now()})
