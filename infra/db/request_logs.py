"""The requests that deployments answered, as rows."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict
from typing import ClassVar

from sqlalchemy import ColumnElement, insert, or_

from domain.ids import Noun
from domain.reading import Parent
from domain.request_logs import LogFilter, RequestLog
from infra.db.columns import column_names
from infra.db.reading import Parents, Reader, Row
from infra.db.tables import deployments, projects, request_logs


class SqlRequestLogs(Reader[RequestLog]):
    """The request logs of one transaction, newest first."""

    name = "request_logs"
    noun = Noun.REQUEST_LOG
    parents: ClassVar[Parents] = {Parent.DEPLOYMENT: request_logs.c.deployment_id}
    source = request_logs.outerjoin(deployments).outerjoin(projects)
    columns = tuple(request_logs.c)
    projectable = column_names(columns)
    order = (request_logs.c.id,)

    def build(self, row: Row) -> RequestLog:
        return RequestLog(**row)

    def matching(self, where: LogFilter) -> list[ColumnElement[bool]]:
        logs, found = request_logs.c, list[ColumnElement[bool]]()
        if where.since is not None:
            found.append(logs.date >= where.since)
        if where.until is not None:
            found.append(logs.date < where.until)
        if where.search:
            texts = (logs.input, logs.output)
            found.append(or_(*(text.icontains(where.search, autoescape=True) for text in texts)))
        if where.status is not None:
            found.append(logs.status == where.status)
        if where.api_key_id is not None:
            found.append(logs.api_key_id == where.api_key_id)
        return found

    async def add_many(self, logs: Sequence[RequestLog]) -> None:
        if logs:
            await self._session.execute(insert(request_logs), [asdict(log) for log in logs])

    def stream(self, deployment_id: str, *, viewer_id: str) -> AsyncGenerator[RequestLog, None]:
        """All of a deployment's requests, oldest first, from a server-side cursor."""
        statement = (
            self.rows(viewer_id)
            .where(request_logs.c.deployment_id == deployment_id)
            .order_by(request_logs.c.id)
        )
        return self.streamed(statement)
