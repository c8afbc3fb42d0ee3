"""Jobs as rows. Every write by a worker names its attempt: a worker that was replaced writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, RowMapping, func, insert, lateral, literal, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from domain.jobs import (
    FINAL,
    KINDS,
    Event,
    Job,
    JobEventKind,
    JobFilter,
    JobStatus,
    JobType,
    Recorded,
    Replaced,
    Runner,
    StatusChanged,
)
from domain.pages import Page, Slice
from domain.training import Progress
from infra.db import events
from infra.db.engine import raw
from infra.db.reading import Reader
from infra.db.tables import job_events, jobs, projects
from infra.queue import Enqueuer

FIELDS = [*(jobs.c[it.name] for it in fields(Job) if it.name != "owner_id"), projects.c.owner_id]


class SqlJobs(Reader[Job]):
    """The jobs of one transaction, newest first."""

    name = "jobs"
    source = jobs.join(projects)
    columns = FIELDS
    order: ClassVar[Any] = (jobs.c.id,)

    def __init__(self, session: AsyncSession, enqueuer: Enqueuer) -> None:
        super().__init__(session)
        self._enqueuer = enqueuer
        self._events = events.JobEvents(session)

    def build(self, row: RowMapping) -> Job:
        """A domain object from one row."""
        return Job(**{it.name: row[it.name] for it in FIELDS})

    def matching(self, where: JobFilter) -> list[ColumnElement[bool]]:
        """The conditions of a filter."""
        wanted = ((jobs.c.type, where.type), (jobs.c.status, where.status))
        return [column == value for column, value in wanted if value is not None]

    async def add(self, job: Job) -> None:
        """Add a job, and its first event."""
        values = asdict(job)
        values.pop("owner_id")
        await self._session.execute(insert(jobs).values(**values, last_seq=1))
        await self._record(job.id, 0, [StatusChanged(job.status)])

    async def enqueue(self, job: Job) -> None:
        """Have a worker take it once this transaction has committed."""
        await self._enqueuer.work(await raw(self._session), job.id, job.type)

    async def begin(self, id: str, *, runner: Runner = Runner.LOCAL) -> Job | None:
        """Count the attempt up and mark it RUNNING; None when it is gone, final or another runner's."""
        begun = (
            update(jobs)
            .where(jobs.c.id == id, jobs.c.status.not_in(sorted(FINAL)), jobs.c.runner == runner)
            .values(
                attempt=jobs.c.attempt + 1,
                status=JobStatus.RUNNING,
                started_at=func.coalesce(jobs.c.started_at, func.now()),
            )
            .returning(jobs.c.id)
        )
        if (await self._session.execute(begun)).first() is None:
            return None
        job = await self._read(id)
        await self.append(job, [StatusChanged(JobStatus.RUNNING)])
        return job

    async def _read(self, id: str) -> Job:
        """A job whatever the viewer: for workers, who act for its owner."""
        statement = select(*FIELDS).select_from(self.source).where(jobs.c.id == id)
        return (await self._by_id(statement))[id]

    async def append(self, job: Job, new: Sequence[Event]) -> None:
        """Record events; raises `Replaced` unless the attempt is still the job's and the job is not final."""
        values: dict[str, Any] = {"last_seq": jobs.c.last_seq + len(new)}
        for event in new:
            if isinstance(event, Progress):
                values |= {"progress": event.progress, "message": event.message}
        last = await self._update_mine(job, values)
        await self._record(job.id, last - len(new), new)

    async def finish(
        self,
        job: Job,
        status: JobStatus,
        *,
        error: str | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> Job:
        """Move to a final status and record it; raises `Replaced` as `append` does."""
        values: dict[str, Any] = {
            "last_seq": jobs.c.last_seq + 1,
            "status": status,
            "error": error,
            "result": None if result is None else dict(result),
            "finished_at": func.now(),
        }
        if status is JobStatus.SUCCESS:
            values["progress"] = 1.0
        last = await self._update_mine(job, values)
        await self._record(job.id, last - 1, [StatusChanged(status, error)])
        return await self._read(job.id)

    async def _update_mine(self, job: Job, values: Mapping[str, Any]) -> int:
        """Change the row while it is this attempt's; the row stays locked, which keeps `seq` without gaps."""
        mine = (
            update(jobs)
            .where(jobs.c.id == job.id, jobs.c.attempt == job.attempt, jobs.c.status.not_in(sorted(FINAL)))
            .values(**values)
            .returning(jobs.c.last_seq)
        )
        last = (await self._session.execute(mine)).scalar_one_or_none()
        if last is None:
            raise Replaced
        return int(last)

    async def _record(self, job_id: str, seq: int, new: Sequence[Event]) -> None:
        rows = [
            {
                "job_id": job_id,
                "seq": seq + ordinal,
                "kind": KINDS[type(event)],
                "at": func.clock_timestamp(),
                "body": events.dump(event),
            }
            for ordinal, event in enumerate(new, 1)
        ]
        await self._session.execute(insert(job_events).values(rows))
        await self._session.execute(select(func.pg_notify(events.CHANNEL, job_id)))

    async def latest(self, subject_ids: list[str], *, viewer_id: str) -> dict[str, Job]:
        """The newest job of each subject."""
        newest = (
            self.rows(viewer_id)
            .where(jobs.c.subject_id.in_(subject_ids))
            .ext(distinct_on(jobs.c.subject_id))
            .order_by(jobs.c.subject_id, jobs.c.id.desc())
        )
        return {job.subject_id: job for job in (await self._by_id(newest)).values()}

    async def waiting_for(self, document_id: str) -> list[Job]:
        """Queued imports of a document that was not read yet."""
        statement = (
            select(*FIELDS)
            .select_from(self.source)
            .where(
                jobs.c.type == JobType.DATASET_IMPORT,
                jobs.c.status == JobStatus.QUEUED,
                jobs.c.arguments["document_id"].astext == document_id,
            )
        )
        return list((await self._by_id(statement)).values())

    async def is_over(self, job_id: str, *, attempt: int | None = None) -> bool:
        """Whether a job has ended, is gone, or is another attempt's."""
        statement = select(jobs.c.status, jobs.c.attempt).where(jobs.c.id == job_id)
        row = (await self._session.execute(statement)).one_or_none()
        return row is None or row.status in FINAL or (attempt is not None and row.attempt != attempt)

    async def events_after(self, job_id: str, seq: int, limit: int = 500) -> list[Recorded]:
        """The next events of a job; who may see it was asked before."""
        statement = (
            select(job_events)
            .where(job_events.c.job_id == job_id, job_events.c.seq > seq)
            .order_by(job_events.c.seq)
            .limit(limit)
        )
        return [self._events.build(row) for row in (await self._session.execute(statement)).mappings()]

    async def events_page(
        self, job_ids: list[str], page: Page, kinds: frozenset[JobEventKind], *, viewer_id: str
    ) -> dict[str, Slice[Recorded]]:
        """The same page of each job's events."""
        return await self._events.pages(job_ids, page, by="job_id", where=kinds, viewer_id=viewer_id)

    async def events_total(
        self, job_ids: list[str], kinds: frozenset[JobEventKind], *, viewer_id: str
    ) -> dict[str, int]:
        """How many events each job has."""
        return await self._events.totals(job_ids, by="job_id", where=kinds, viewer_id=viewer_id)

    async def logs(self, job_ids: list[str], lines: int) -> dict[str, list[str]]:
        """The last lines of each job's log, oldest first."""
        mine = job_events.c.job_id == jobs.c.id
        last = (
            select(job_events.c.seq, job_events.c.body["line"].astext.label("line"))
            .where(mine, job_events.c.kind == JobEventKind.LOG)
            .order_by(job_events.c.seq.desc())
            .limit(lines)
        )
        part = lateral(last.correlate(jobs), name="part")
        statement = (
            select(jobs.c.id, part.c.line)
            .select_from(jobs.join(part, literal(value=True)))
            .where(jobs.c.id.in_(job_ids))
            .order_by(jobs.c.id, part.c.seq)
        )
        found: dict[str, list[str]] = {id: [] for id in job_ids}
        for id, line in await self._session.execute(statement):
            found[id].append(line)
        return found


class SqlChores:
    """Unwatched work, enqueued by one transaction."""

    def __init__(self, session: AsyncSession, enqueuer: Enqueuer) -> None:
        self._session = session
        self._enqueuer = enqueuer

    async def delete_files(self, prefixes: list[str]) -> None:
        """Delete everything in storage under these prefixes, after the commit."""
        if prefixes:
            await self._enqueuer.purge(await raw(self._session), prefixes)

    async def unload(self, model_ids: list[str]) -> None:
        """Have the model runtime drop these models, after the commit."""
        if model_ids:
            await self._enqueuer.unload(await raw(self._session), model_ids)
