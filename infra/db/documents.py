"""Documents as rows."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, update

from domain.documents import UPLOAD_EXPIRY_S, Document, DocumentFilter, DocumentStatus
from domain.ids import Noun
from domain.jobs import JobStatus, JobType
from domain.reading import Parent
from domain.storage_keys import document_prefix
from infra.db.columns import column_names, record_columns
from infra.db.engine import extend_statement_timeout
from infra.db.reading import Parents, Reader, Row
from infra.db.tables import documents, jobs, projects

COLUMNS = record_columns(Document, documents)


EXPIRED = documents.c.created_at < func.now() - timedelta(seconds=UPLOAD_EXPIRY_S)


class SqlDocuments(Reader[Document]):
    """The documents of one transaction, newest first."""

    name = "documents"
    noun = Noun.DOCUMENT
    parents: ClassVar[Parents] = {Parent.PROJECT: documents.c.project_id}
    source = documents.outerjoin(projects)
    columns = COLUMNS
    projectable = column_names(COLUMNS, "encoding_readings")
    order = (documents.c.id,)
    project = documents.c.project_id

    def build(self, row: Row) -> Document:
        return Document(**row)

    def matching(self, where: DocumentFilter) -> list[ColumnElement[bool]]:
        return [] if where.kind is None else [documents.c.kind == where.kind]

    async def add(self, document: Document) -> None:
        values = {field.name: getattr(document, field.name) for field in fields(document)}
        await self._session.execute(insert(documents).values(**values))

    async def change(self, id: str, values: Mapping[str, Any], *, expected: DocumentStatus) -> bool:
        changed = update(documents).where(documents.c.id == id, documents.c.status == expected)
        changed = changed.values(**values)
        return (await self._session.execute(changed.returning(documents.c.id))).first() is not None

    async def lock(self, id: str, *, viewer_id: str) -> Document | None:
        statement = self.rows(viewer_id).where(documents.c.id == id).with_for_update(of=documents)
        return (await self._by_id(statement)).get(id)

    async def delete(self, id: str) -> None:
        """Delete the row; the items of it are not deleted."""
        await extend_statement_timeout(self._session)
        await self._session.execute(delete(documents).where(documents.c.id == id))

    async def total_bytes(self, project_id: str) -> int:
        """The bytes of all uploads of a project; an announced one counts until it expires."""
        total = select(func.coalesce(func.sum(documents.c.size_bytes), 0))
        counts = or_(documents.c.status != DocumentStatus.PENDING_UPLOAD, ~EXPIRED)
        total = total.where(documents.c.project_id == project_id, counts)
        return int(await self._session.scalar(total) or 0)

    async def expire(self) -> list[str]:
        expired = delete(documents).where(documents.c.status == DocumentStatus.PENDING_UPLOAD, EXPIRED)
        ids = await self._session.scalars(expired.returning(documents.c.id))
        return [document_prefix(id) for id in ids]

    async def in_use(self, id: str) -> bool:
        reading = (
            select(jobs.c.id)
            .join(documents, documents.c.project_id == jobs.c.project_id)
            .where(
                documents.c.id == id,
                jobs.c.type == JobType.DATASET_IMPORT,
                jobs.c.status.in_([JobStatus.QUEUED, JobStatus.RUNNING]),
                jobs.c.arguments["document_id"].astext == id,
            )
        )
        return (await self._session.execute(reading.limit(1))).first() is not None
