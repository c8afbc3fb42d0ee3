"""Event streams: the port through which jobs are followed."""

from collections.abc import AsyncGenerator
from typing import Protocol

from domain.job_events import RecordedEvent
from domain.jobs import Job


class JobStreams(Protocol):
    """Follows jobs. The rows are the truth; a notification only causes a read of them."""

    def events(self, job_id: str, after: int = 0) -> AsyncGenerator[RecordedEvent, None]:
        """Every event with a `seq` above `after`, stored ones first, then live ones.

        Ends with the job, or when it is deleted.
        """
        ...

    async def until_ended(self, job: Job) -> None:
        """Returns once the job has ended, is deleted, or another attempt of it has started."""
        ...
