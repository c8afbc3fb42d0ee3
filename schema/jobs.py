"""The jobs of the GraphQL API, and the stream of their events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from weakref import WeakKeyDictionary

import strawberry

from domain import jobs as domain
from domain.ids import noun_of
from domain.jobs import JobEventKind, JobFilter, JobStatus, JobType, Runner, StatusChanged
from domain.pages import Page
from domain.training import Checkpoint, Line, Measured, Progress
from resolvers import jobs as resolve
from resolvers import reading
from schema.base import OF, Id, Info, Node, enumeration, load, lookup, mirror, noun
from schema.calls import BY_ID
from schema.connections import (
    After,
    Before,
    Connection,
    First,
    Last,
    OfType,
    Total,
    WithStatus,
    connect,
    page_of,
)
from schema.mutations import Payload, mutation, outcome
from schema.scalars import JSON
from schema.sharing import Shareable
from schema.training import TrainingPoint

if TYPE_CHECKING:
    from schema.projects import Project

enumeration(
    JobType,
    "What a job does.",
    DOCUMENT_READ="Reads an upload.",
    DATASET_IMPORT="Makes the rows of an upload into items.",
    FINETUNE="Trains a fine-tune and exports its model.",
    DEPLOY="Loads the model of a deployment.",
)
enumeration(
    JobStatus,
    "Where a job stands; the last three are final.",
    QUEUED="It waits for a worker.",
    RUNNING="A worker is at it.",
    SUCCESS="It ended well.",
    FAILED="It failed; `error` says why.",
    CANCELLED="It was cancelled.",
)
enumeration(
    JobEventKind,
    "What an event tells.",
    STATUS="The job moved to another status: StatusEvent.",
    PROGRESS="The job came further: ProgressEvent.",
    METRIC="A training step or an evaluation: MetricEvent.",
    CHECKPOINT="A checkpoint was saved: CheckpointEvent.",
    LOG="A line of the job's log: LogEvent.",
)
enumeration(
    Runner,
    "Who does the work.",
    LOCAL="A worker of Luthier's.",
    EXTERNAL="A worker of the user's, which reports by webhook.",
)

ALL_KINDS = frozenset(JobEventKind)


@strawberry.interface(description="Something that happened in a job.")
class JobEvent(Shareable):
    """Something that happened in a job."""

    cursor: str = strawberry.field(description="Its place: a stream goes on after it.")
    at: datetime = strawberry.field(description="When it was recorded.")


@strawberry.type(description="The job moved to another status.")
class StatusEvent(JobEvent):
    """The job moved to another status."""

    status: JobStatus = strawberry.field(description="Where it stands now.")
    error: str | None = strawberry.field(description="Why it failed.")


@strawberry.type(description="The job came further.")
class ProgressEvent(JobEvent):
    """The job came further."""

    progress: float = strawberry.field(description="How far, 0.0 to 1.0.")
    message: str | None = strawberry.field(description="What it is doing.")


@strawberry.type(description="A training step or an evaluation.")
class MetricEvent(JobEvent):
    """A training step or an evaluation."""

    point: TrainingPoint = strawberry.field(description="The new point of the curve.")


@strawberry.type(description="A checkpoint was saved.")
class CheckpointEvent(JobEvent):
    """A checkpoint was saved."""

    step: int = strawberry.field(description="The step that it holds.")
    path: str = strawberry.field(description="Its name.")


@strawberry.type(description="A line of the job's log.")
class LogEvent(JobEvent):
    """A line of the job's log."""

    line: str = strawberry.field(description="The line.")


EVENT_TYPES = (StatusEvent, ProgressEvent, MetricEvent, CheckpointEvent, LogEvent)


def event_of(recorded: domain.Recorded) -> JobEvent:
    """An event as the API shows it."""
    cursor, at = str(recorded.seq), recorded.at
    match recorded.event:
        case StatusChanged(status, error):
            return StatusEvent(cursor=cursor, at=at, status=status, error=error)
        case Progress(progress, message):
            return ProgressEvent(cursor=cursor, at=at, progress=progress, message=message)
        case Measured(point=point):
            return MetricEvent(cursor=cursor, at=at, point=mirror(TrainingPoint, point))
        case Checkpoint(step, path):
            return CheckpointEvent(cursor=cursor, at=at, step=step, path=path)
        case Line(line):
            return LogEvent(cursor=cursor, at=at, line=line)


_told = WeakKeyDictionary[domain.Recorded, JobEvent]()


def told(recorded: domain.Recorded) -> JobEvent:
    """The same, as one object for all who are told it at about the same time."""
    event = _told.get(recorded)
    if event is None:
        event = _told[recorded] = event_of(recorded)
    return event


@noun
@strawberry.type(description="Work that takes long: who does it, and how far it is.")
class Job(Node):
    """A job."""

    it: strawberry.Private[domain.Job]
    type: JobType = strawberry.field(description="What it does.")
    status: JobStatus = strawberry.field(description="Where it stands.")
    progress: float = strawberry.field(description="How far it is, 0.0 to 1.0.")
    message: str | None = strawberry.field(description="What it is doing, or did last.")
    result: JSON | None = strawberry.field(description="What it found, in figures.")
    error: str | None = strawberry.field(description="Why it failed, as a sentence.")
    attempt: int = strawberry.field(name="attempts", description="How often it was begun.")
    runner: Runner = strawberry.field(description="Who does it.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    started_at: datetime | None = strawberry.field(description="When it was first begun.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")

    @classmethod
    def of(cls, it: domain.Job) -> "Job":
        """A job as the API shows it."""
        return mirror(cls, it, it=it)

    @strawberry.field(description="The project that it belongs to.")
    def project(self, info: Info) -> Annotated["Project", strawberry.lazy("schema.projects")]:
        """Loaded with the others."""
        return lookup(info, self.it.project_id, "Project")

    @strawberry.field(
        description="The Document, Dataset, Finetune or Deployment that it works on; null once that is deleted."
    )
    def subject(self, info: Info) -> Node | None:
        """Loaded with the others."""
        return node_by_id(info, self.it.subject_id)

    @strawberry.field(description="What happened in it, oldest first.", metadata=BY_ID)
    def events(
        self,
        info: Info,
        kinds: Annotated[
            list[JobEventKind] | None,
            strawberry.argument(description="Only events of these kinds; all of them where it is absent."),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[JobEvent]:
        """A page of them."""
        wanted = frozenset(kinds) if kinds is not None else ALL_KINDS
        page, total = Page.of(first, after, last, before), Total(resolve.events_total, (wanted,))
        return page_of(info, resolve.events, self.id, page, event_of, total)


def node_by_id(info: Info, id: str) -> Any:
    """Any object by id, null when there is none, or it is another's."""
    name = noun_of(id)
    return None if name is None else load(info, reading.by_id, id).then(OF[name])


@strawberry.type
class JobQueries:
    """The jobs of the root query."""

    @strawberry.field(description="A job of the viewer's.")
    def job(self, info: Info, id: Id) -> Job | None:
        """By id."""
        return lookup(info, id, "Job")

    @strawberry.field(description="The viewer's jobs over every project, newest first.")
    def jobs(
        self,
        info: Info,
        type: OfType[JobType] = None,
        status: WithStatus[JobStatus] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Job]:
        """A page of them."""
        page = Page.of(first, after, last, before)
        return connect(info, "Job", page, where=JobFilter(type=type, status=status))


@strawberry.input(description="Which job to cancel.")
class CancelJobInput:
    """Which job to cancel."""

    id: strawberry.ID = strawberry.field(description="The job's TypeID.")


@strawberry.type(description="A job.")
class JobPayload(Payload):
    """A job."""

    job: Job | None = outcome("The job as it is now.")


@strawberry.type
class JobMutations:
    """What may be done with jobs."""

    @mutation
    async def cancel_job(self, info: Info, input: CancelJobInput) -> JobPayload:
        """Cancels a job that has not ended; what it had done stays."""
        return JobPayload(job=Job.of(await resolve.cancel(info.context, input.id)))


@strawberry.type
class JobSubscriptions:
    """The streams of jobs."""

    @strawberry.subscription(
        description="Every event of a job from the cursor on: those already kept first, then live ones. "
        "Ends with the job."
    )
    async def job_events(
        self,
        info: Info,
        job_id: Annotated[strawberry.ID, strawberry.argument(description="The job's TypeID.")],
        after: Annotated[
            str | None,
            strawberry.argument(description="Only events after this cursor; all of them where it is absent."),
        ] = None,
    ) -> AsyncGenerator[JobEvent, None]:
        """Goes on after a cursor, so that a client that comes back misses nothing."""
        async with aclosing(resolve.follow(info.context, job_id, domain.place_of(after))) as recorded:
            async for it in recorded:
                yield told(it)
