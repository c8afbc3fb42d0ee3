"""The events of jobs, as pages and as a stream."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated
from weakref import WeakKeyDictionary

import strawberry

from domain import job_events as domain
from domain.job_events import Checkpoint, JobEventKind, LogLine, Metric, Progress, StatusChanged
from domain.jobs import JobStatus
from resolvers import jobs as resolve
from schema.execution import SharedEvent
from schema.shared.context import Info
from schema.shared.enums import enumeration
from schema.shared.nodes import mirror
from schema.types.training_runs import TrainingPoint

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


@strawberry.interface(description="Something that happened in a job.")
class JobEvent(SharedEvent):
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


def event_of(recorded: domain.RecordedEvent) -> JobEvent:
    """An event as the API shows it."""
    cursor, at = str(recorded.seq), recorded.at
    match recorded.event:
        case StatusChanged(status, error):
            return StatusEvent(cursor=cursor, at=at, status=status, error=error)
        case Progress(progress, message):
            return ProgressEvent(cursor=cursor, at=at, progress=progress, message=message)
        case Metric(point=point):
            return MetricEvent(cursor=cursor, at=at, point=mirror(TrainingPoint, point))
        case Checkpoint(step, path):
            return CheckpointEvent(cursor=cursor, at=at, step=step, path=path)
        case LogLine(line):
            return LogEvent(cursor=cursor, at=at, line=line)


_told = WeakKeyDictionary[domain.RecordedEvent, JobEvent]()


def told(recorded: domain.RecordedEvent) -> JobEvent:
    """The same, as one object for all who are told it at about the same time."""
    event = _told.get(recorded)
    if event is None:
        event = _told[recorded] = event_of(recorded)
    return event


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
