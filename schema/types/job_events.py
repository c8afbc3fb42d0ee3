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
from schema.shared.enums import register_enum
from schema.shared.nodes import convert
from schema.types.training_points import TrainingPoint

register_enum(
    JobStatus,
    "Status of a job; `SUCCESS`, `FAILED` and `CANCELLED` are final.",
    QUEUED="Waiting for a worker.",
    RUNNING="Started by a worker.",
    SUCCESS="Completed successfully.",
    FAILED="Failed; `error` has the reason.",
    CANCELLED="Cancelled before it was completed.",
)
register_enum(
    JobEventKind,
    "Kind of a job event.",
    STATUS="Change of the job's status: `StatusEvent`.",
    PROGRESS="Progress of the job: `ProgressEvent`.",
    METRIC="Metrics of an optimizer step or an evaluation: `MetricEvent`.",
    CHECKPOINT="Saved checkpoint: `CheckpointEvent`.",
    LOG="Line of the job's log: `LogEvent`.",
)


@strawberry.interface(description="An event of a job.")
class JobEvent(SharedEvent):
    cursor: str = strawberry.field(
        description="Cursor of the event among the events of its job, for "
        "`after` in `jobEvents` and `Job.events`."
    )
    at: datetime = strawberry.field(description="Time when the event was recorded.")


@strawberry.type(description="The status of the job changed.")
class StatusEvent(JobEvent):
    status: JobStatus = strawberry.field(description="The new status.")
    error: str | None = strawberry.field(description="Why the job failed, in one sentence; null otherwise.")


@strawberry.type(description="The job reported its progress.")
class ProgressEvent(JobEvent):
    progress: float = strawberry.field(description="Progress from 0.0 to 1.0.")
    message: str | None = strawberry.field(
        description="Progress message; never null, empty when none was reported."
    )


@strawberry.type(description="Training metrics were measured, in an optimizer step or an evaluation.")
class MetricEvent(JobEvent):
    point: TrainingPoint = strawberry.field(description="The measured point of the training curve.")


@strawberry.type(description="A training checkpoint was saved on the worker.")
class CheckpointEvent(JobEvent):
    step: int = strawberry.field(description="Optimizer step of the checkpoint.")
    path: str = strawberry.field(description="Name of the checkpoint, such as `checkpoint-100`.")


@strawberry.type(description="A line was added to the job's log.")
class LogEvent(JobEvent):
    line: str = strawberry.field(description="Text of the line.")


EVENT_TYPES = (StatusEvent, ProgressEvent, MetricEvent, CheckpointEvent, LogEvent)


def event_of(recorded: domain.RecordedEvent) -> JobEvent:
    """The GraphQL object of an event."""
    cursor, at = str(recorded.seq), recorded.at
    match recorded.event:
        case StatusChanged(status, error):
            return StatusEvent(cursor=cursor, at=at, status=status, error=error)
        case Progress(progress, message):
            return ProgressEvent(cursor=cursor, at=at, progress=progress, message=message)
        case Metric(point=point):
            return MetricEvent(cursor=cursor, at=at, point=convert(TrainingPoint, point))
        case Checkpoint(step, path):
            return CheckpointEvent(cursor=cursor, at=at, step=step, path=path)
        case LogLine(line):
            return LogEvent(cursor=cursor, at=at, line=line)


_shared_events = WeakKeyDictionary[domain.RecordedEvent, JobEvent]()


def shared_event_of(recorded: domain.RecordedEvent) -> JobEvent:
    """The GraphQL object of an event: one for all subscribers, so that they share its results."""
    event = _shared_events.get(recorded)
    if event is None:
        event = _shared_events[recorded] = event_of(recorded)
    return event


@strawberry.type
class JobSubscriptions:
    @strawberry.subscription(
        description="All events of a job after the cursor: first the recorded ones, "
        "then new ones as they occur. Ends with the job."
    )
    async def job_events(
        self,
        info: Info,
        job_id: Annotated[strawberry.ID, strawberry.argument(description="TypeID of the job.")],
        after: Annotated[
            str | None,
            strawberry.argument(description="Only events after this cursor; all when absent or null."),
        ] = None,
    ) -> AsyncGenerator[JobEvent, None]:
        async with aclosing(resolve.stream_events(info.context, job_id, domain.seq_of(after))) as recorded:
            async for event in recorded:
                yield shared_event_of(event)
