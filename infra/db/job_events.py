"""Job events as rows: append-only, `seq` without gaps in each job, so that every stream replays."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, func, insert, lateral, literal, select, update

from domain.job_events import (
    KIND_OF_EVENT,
    Event,
    JobEventKind,
    Progress,
    RecordedEvent,
    seq_of,
)
from domain.jobs import FINAL, Job, JobStatus, Superseded
from domain.reading import Parent
from infra.db.reading import Parents, Reader, Row
from infra.db.tables import job_events, jobs, projects

CHANNEL = "job_events"
EVENTS: Mapping[JobEventKind, TypeAdapter[Any]] = {
    kind: TypeAdapter(event) for event, kind in KIND_OF_EVENT.items()
}
"""What writes the body of an event of each kind, and reads it."""


class SqlJobEvents(Reader[RecordedEvent]):
    """The events of jobs, oldest first."""

    name = "events"
    parents: ClassVar[Parents] = {Parent.JOB: job_events.c.job_id}
    source = job_events.outerjoin(jobs).outerjoin(projects)
    columns = tuple(job_events.c)
    order = (job_events.c.seq,)
    newest_first = False

    def build(self, row: Row) -> RecordedEvent:
        return RecordedEvent(
            row["job_id"], row["seq"], row["at"], EVENTS[row["kind"]].validate_python(row["body"])
        )

    def cursor(self, row: Row, viewer_tag: str) -> str:  # noqa: ARG002 - the same for every viewer
        """The event's `seq`, which is also the cursor of a stream."""
        return str(row["seq"])

    def decoded(self, cursor: str, viewer_tag: str, *, field: str) -> list[int]:  # noqa: ARG002
        """The `seq` in a cursor; raises `Invalid`."""
        return [seq_of(cursor, field=field)]

    def matching(self, where: frozenset[JobEventKind]) -> list[ColumnElement[bool]]:
        return [job_events.c.kind.in_(sorted(where))]

    async def after(self, job_id: str, seq: int, limit: int = 500) -> list[RecordedEvent]:
        statement = (
            select(job_events)
            .where(job_events.c.job_id == job_id, job_events.c.seq > seq)
            .order_by(job_events.c.seq)
            .limit(limit)
        )
        return [self.build(row) for row in await self._fetch(statement)]

    async def attempts_without_progress(self, job_id: str) -> int:
        of_job = job_events.c.job_id == job_id
        furthest = (
            select(job_events.c.seq)
            .where(of_job, job_events.c.kind == JobEventKind.PROGRESS)
            .order_by(job_events.c.body["progress"].as_float().desc(), job_events.c.seq)
            .limit(1)
        )
        started = select(func.count()).where(
            of_job,
            job_events.c.kind == JobEventKind.STATUS,
            job_events.c.body["status"].astext == JobStatus.RUNNING,
            job_events.c.seq > func.coalesce(furthest.scalar_subquery(), 0),
        )
        return int(await self._session.scalar(started) or 0)

    async def logs(self, job_ids: list[str], lines: int) -> dict[str, list[str]]:
        of_job = job_events.c.job_id == jobs.c.id
        last = (
            select(job_events.c.seq, job_events.c.body["line"].astext.label("line"))
            .where(of_job, job_events.c.kind == JobEventKind.LOG)
            .order_by(job_events.c.seq.desc())
            .limit(lines)
        )
        last_lines = lateral(last.correlate(jobs), name="last_lines")
        statement = (
            select(jobs.c.id, last_lines.c.line)
            .select_from(jobs.join(last_lines, literal(value=True)))
            .where(jobs.c.id.in_(job_ids))
            .order_by(jobs.c.id, last_lines.c.seq)
        )
        found: dict[str, list[str]] = {id: [] for id in job_ids}
        for id, line in await self._session.execute(statement):
            found[id].append(line)
        return found

    async def append(self, job: Job, new: Sequence[Event]) -> None:
        values: dict[str, Any] = {"last_seq": jobs.c.last_seq + len(new)}
        for event in new:
            if isinstance(event, Progress):
                values |= {"progress": event.progress, "message": event.message}
        last = await self.update_of_attempt(job, values)
        await self.record(job.id, last - len(new), new)

    async def update_of_attempt(self, job: Job, values: Mapping[str, Any]) -> int:
        """Change the row while it is this attempt's; the row stays locked, which keeps `seq` without gaps."""
        changed = (
            update(jobs)
            .where(jobs.c.id == job.id, jobs.c.attempt == job.attempt, jobs.c.status.not_in(sorted(FINAL)))
            .values(**values)
            .returning(jobs.c.last_seq)
        )
        last = (await self._session.execute(changed)).scalar_one_or_none()
        if last is None:
            raise Superseded
        return int(last)

    async def record(self, job_id: str, seq: int, new: Sequence[Event]) -> None:
        """Add events behind `seq`, and wake the readers of the job's stream; the caller has locked the job's row."""
        rows = [
            {
                "job_id": job_id,
                "seq": seq + ordinal,
                "kind": KIND_OF_EVENT[type(event)],
                "at": func.clock_timestamp(),
                "body": EVENTS[KIND_OF_EVENT[type(event)]].dump_python(event, mode="json"),
            }
            for ordinal, event in enumerate(new, 1)
        ]
        await self._session.execute(insert(job_events).values(rows))
        await self._session.execute(select(func.pg_notify(CHANNEL, job_id)))
