"""Jobs as rows. Every write by a worker names its attempt: a worker that was replaced writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, ClassVar

from sqlalchemy import (
    ColumnElement,
    and_,
    exists,
    func,
    insert,
    not_,
    select,
    text,
    update,
)
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
from infra.db.reading import Reader, Row, names
from infra.db.tables import job_events, jobs, projects
from infra.queue import WORK, Enqueuer

ACTIVE = sorted(set(JobStatus) - FINAL)
STRANDED_LOCK = 4_839_201_378  # any number, as long as every worker uses the same
QUEUED = text(
    "select args->>'job_id' from procrastinate_jobs "
    "where task_name = :task and status in ('todo', 'doing') and args->>'job_id' = any(:ids)"
)
"""Which of some jobs are in the queue, or held by a worker."""

FIELDS = [*(jobs.c[it.name] for it in fields(Job) if it.name != "owner_id"), projects.c.owner_id]


class SqlJobs(Reader[Job]):
    """The jobs of one transaction, newest first."""

    name = "jobs"
    source = jobs.outerjoin(projects)
    columns = FIELDS
    alone = names(FIELDS)
    order: ClassVar[Any] = (jobs.c.id,)
    project = jobs.c.project_id

    def __init__(self, session: AsyncSession, enqueuer: Enqueuer) -> None:
        super().__init__(session)
        self._enqueuer = enqueuer
        self._events = events.JobEvents(session)

    def build(self, row: Row) -> Job:
        """A domain object from one row."""
        return Job(**row)

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
        arguments: Mapping[str, Any] | None = None,
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
        if arguments is not None:
            values["arguments"] = {**(job.arguments or {}), **arguments}
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

    async def fruitless_begins(self, job_id: str) -> int:
        """How often it was begun since it last came further than ever before."""
        return await self._events.fruitless_begins(job_id)

    async def stranded(self) -> list[Job]:
        """Jobs that no worker will ever take, though nothing keeps them waiting.

        One transaction at a time looks, so that each is found once. The queue is read after the jobs: what is
        enqueued meanwhile is not missed, and what ended meanwhile is enqueued in vain.
        """
        await self._session.execute(select(func.pg_advisory_xact_lock(STRANDED_LOCK)))
        active = await self._by_id(
            select(*FIELDS)
            .select_from(self.source)
            .where(
                jobs.c.status.in_(ACTIVE),
                jobs.c.runner == Runner.LOCAL,
                not_(_waits_for_its_document()),
            )
        )
        queued = set(await self._session.scalars(QUEUED, {"task": WORK, "ids": list(active)}))
        return [job for id, job in active.items() if id not in queued]

    async def is_over(self, job_id: str, *, attempt: int | None = None) -> bool:
        """Whether a job has ended, is gone, or is another attempt's."""
        statement = select(jobs.c.status, jobs.c.attempt).where(jobs.c.id == job_id)
        row = (await self._session.execute(statement)).one_or_none()
        return row is None or row.status in FINAL or (attempt is not None and row.attempt != attempt)

    async def events_after(self, job_id: str, seq: int, limit: int = 500) -> list[Recorded]:
        """The next events of a job; who may see it was asked before."""
        return await self._events.after(job_id, seq, limit)

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
        return await self._events.logs(job_ids, lines)


def _waits_for_its_document() -> ColumnElement[bool]:
    """Whether a job is an import whose document is still being read: it is enqueued when that is done."""
    reading = jobs.alias("reading")
    is_read = exists().where(
        reading.c.subject_id == jobs.c.arguments["document_id"].astext,
        reading.c.type == JobType.DOCUMENT_READ,
        reading.c.status.in_(ACTIVE),
    )
    return and_(jobs.c.type == JobType.DATASET_IMPORT, jobs.c.status == JobStatus.QUEUED, is_read)
