"""Job events as rows: append-only, `seq` without gaps in each job, so that every stream replays."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, RowMapping

from domain.jobs import Event, JobEventKind, JobStatus, Recorded, StatusChanged, place_of
from domain.training import Checkpoint, Line, Measured, Progress, TrainingPoint
from infra.db.reading import Reader
from infra.db.tables import job_events, jobs, projects

CHANNEL = "job_events"


class JobEvents(Reader[Recorded]):
    """The events of jobs, oldest first."""

    name = "events"
    source = job_events.join(jobs).join(projects)
    columns = tuple(job_events.c)
    order: ClassVar[Any] = (job_events.c.seq,)
    newest_first = False

    def build(self, row: RowMapping) -> Recorded:
        """A domain object from one row."""
        return Recorded(row["job_id"], row["seq"], row["at"], load(row["kind"], row["body"]))

    def cursor(self, row: RowMapping) -> str:
        """The same cursor as an event shows and a stream takes."""
        return str(row["seq"])

    def decoded(self, cursor: str) -> list[int]:
        """The place that a stream's cursor names."""
        return [place_of(cursor)]

    def matching(self, where: frozenset[JobEventKind]) -> list[ColumnElement[bool]]:
        """The conditions of a filter."""
        return [job_events.c.kind.in_(sorted(where))]


def dump(event: Event) -> dict[str, Any]:
    """What is kept of an event."""
    body = asdict(event)
    if isinstance(event, Measured):
        body["point"]["at"] = event.point.at.isoformat()
    return body


def load(kind: JobEventKind, body: Mapping[str, Any]) -> Event:
    """An event from what is kept of it."""
    match kind:
        case JobEventKind.STATUS:
            return StatusChanged(JobStatus(body["status"]), body["error"])
        case JobEventKind.PROGRESS:
            return Progress(**body)
        case JobEventKind.METRIC:
            point = body["point"]
            at = datetime.fromisoformat(point["at"])
            return Measured(
                TrainingPoint(**{**point, "at": at}), body["total_steps"], body["tokens_per_second"]
            )
        case JobEventKind.CHECKPOINT:
            return Checkpoint(**body)
        case JobEventKind.LOG:
            return Line(**body)
