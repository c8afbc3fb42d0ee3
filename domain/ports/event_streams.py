"""Event streams: the port that wakes readers, and how one follows a job."""

from collections.abc import AsyncGenerator
from typing import Protocol

from domain.job_events import RecordedEvent
from domain.jobs import Job


class EventStreams(Protocol):
    """Follows jobs. Rows are the truth; a wake-up only says that it is worth looking."""

    def follow(self, job_id: str, after: int = 0) -> AsyncGenerator[RecordedEvent, None]:
        """Every event from `after` on, kept ones first, then live ones; ends with the job, or when it is deleted."""
        ...

    async def lost(self, job: Job) -> None:
        """Returns once the job has ended, is gone, or is another attempt's."""
        ...
