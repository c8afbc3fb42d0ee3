"""Jobs as rows. Every write by a worker is conditional on its attempt: a superseded worker writes nothing."""

from collections.abc import Mapping
from dataclasses import asdict
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

from domain.ids import Noun
from domain.job_events import StatusChanged
from domain.jobs import FINAL, Job, JobFilter, JobStatus, JobType, Runner
from domain.reading import Parent
from infra.db.columns import column_names, record_columns
from infra.db.engine import driver_connection
from infra.db.job_events import SqlJobEvents
from infra.db.reading import Parents, Reader, Row
from infra.db.tables import jobs, projects
from infra.queue import ALIASES, RUN_JOB, Enqueuer

ACTIVE = sorted(set(JobStatus) - FINAL)
ORPHANED_LOCK = 4_839_201_378  # any number, as long as every worker uses the same
QUEUED = text(
    "select args->>'job_id' from procrastinate_jobs "
    "where task_name = any(:tasks) and status in ('todo', 'doing') and args->>'job_id' = any(:ids)"
)
"""Which of some jobs are queued or run by a worker."""

COLUMNS = record_columns(Job, jobs)


class SqlJobReads(Reader[Job]):
    """Reads of jobs, newest first."""

    name = "jobs"
    noun = Noun.JOB
    parents: ClassVar[Parents] = {Parent.PROJECT: jobs.c.project_id}
    source = jobs.outerjoin(projects)
    columns = COLUMNS
    projectable = column_names(COLUMNS)
    order = (jobs.c.id,)
    project = jobs.c.project_id

    def build(self, row: Row) -> Job:
        return Job(**row)

    def matching(self, where: JobFilter) -> list[ColumnElement[bool]]:
        pairs = ((jobs.c.type, where.type), (jobs.c.status, where.status))
        return [column == value for column, value in pairs if value is not None]

    async def latest(self, subject_ids: list[str], *, viewer_id: str) -> dict[str, Job]:
        newest = (
            self.rows(viewer_id)
            .where(jobs.c.subject_id.in_(subject_ids))
            .ext(distinct_on(jobs.c.subject_id))
            .order_by(jobs.c.subject_id, jobs.c.id.desc())
        )
        return {job.subject_id: job for job in (await self._by_id(newest)).values()}

    async def queued_imports_of(self, document_id: str) -> list[Job]:
        statement = (
            select(*COLUMNS)
            .select_from(self.source)
            .where(
                jobs.c.type == JobType.DATASET_IMPORT,
                jobs.c.status == JobStatus.QUEUED,
                jobs.c.arguments["document_id"].astext == document_id,
            )
        )
        return list((await self._by_id(statement)).values())

    async def has_ended(self, job_id: str, *, attempt: int | None = None) -> bool:
        statement = select(jobs.c.status, jobs.c.attempt).where(jobs.c.id == job_id)
        row = (await self._session.execute(statement)).one_or_none()
        return row is None or row.status in FINAL or (attempt is not None and row.attempt != attempt)


class SqlJobs(SqlJobReads):
    """The jobs of one transaction."""

    def __init__(self, session: AsyncSession, enqueuer: Enqueuer) -> None:
        super().__init__(session)
        self._enqueuer = enqueuer
        self._events = SqlJobEvents(session)

    async def add(self, job: Job) -> None:
        """Add a job, and its first event."""
        values = asdict(job)
        values.pop("owner_id")
        await self._session.execute(insert(jobs).values(**values, last_seq=1))
        await self._events.record(job.id, 0, [StatusChanged(job.status)])

    async def enqueue(self, job: Job) -> None:
        await self._enqueuer.run_job(await driver_connection(self._session), job.id, job.type)

    async def start(self, id: str, *, runner: Runner = Runner.LOCAL) -> Job | None:
        started = (
            update(jobs)
            .where(jobs.c.id == id, jobs.c.status.not_in(sorted(FINAL)), jobs.c.runner == runner)
            .values(
                attempt=jobs.c.attempt + 1,
                status=JobStatus.RUNNING,
                started_at=func.coalesce(jobs.c.started_at, func.now()),
            )
            .returning(jobs.c.id)
        )
        if (await self._session.execute(started)).first() is None:
            return None
        job = await self._read(id)
        await self._events.append(job, [StatusChanged(JobStatus.RUNNING)])
        return job

    async def _read(self, id: str) -> Job:
        """A job whatever the viewer: workers act for its owner."""
        statement = select(*COLUMNS).select_from(self.source).where(jobs.c.id == id)
        return (await self._by_id(statement))[id]

    async def finish(
        self,
        job: Job,
        status: JobStatus,
        *,
        error: str | None = None,
        result: Mapping[str, Any] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> Job:
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
        last = await self._events.update_of_attempt(job, values)
        await self._events.record(job.id, last - 1, [StatusChanged(status, error)])
        return await self._read(job.id)

    async def orphaned(self) -> list[Job]:
        """Reads under an advisory lock: one transaction at a time, so that each job is found once.

        The queue is read after the jobs: a job that is enqueued meanwhile is not reported, and one that ends meanwhile
        is enqueued in vain.
        """
        await self._session.execute(select(func.pg_advisory_xact_lock(ORPHANED_LOCK)))
        active = await self._by_id(
            select(*COLUMNS)
            .select_from(self.source)
            .where(
                jobs.c.status.in_(ACTIVE),
                jobs.c.runner == Runner.LOCAL,
                not_(_waits_for_its_document()),
            )
        )
        queued = set(
            await self._session.scalars(QUEUED, {"tasks": [RUN_JOB, *ALIASES[RUN_JOB]], "ids": list(active)})
        )
        return [job for id, job in active.items() if id not in queued]


def _waits_for_its_document() -> ColumnElement[bool]:
    """Whether a job is an import whose document is still being read: it is enqueued when that is done."""
    reads = jobs.alias("reads")
    is_being_read = exists().where(
        reads.c.subject_id == jobs.c.arguments["document_id"].astext,
        reads.c.type == JobType.DOCUMENT_READ,
        reads.c.status.in_(ACTIVE),
    )
    return and_(jobs.c.type == JobType.DATASET_IMPORT, jobs.c.status == JobStatus.QUEUED, is_being_read)
