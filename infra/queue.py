"""The queue: Procrastinate on the same PostgreSQL, so that work is enqueued inside the caller's transaction."""

import asyncio

import procrastinate
from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job as QueuedJob

from domain.documents import UPLOAD_EXPIRY_S

RUN_JOB, DELETE_FILES, UNLOAD = "luthier.run_job", "luthier.delete_files", "luthier.unload"
REQUEUE, EXPIRE = "luthier.requeue", "luthier.expire"
ALIASES = {
    RUN_JOB: ["luthier.work"],
    DELETE_FILES: ["luthier.purge"],
    REQUEUE: ["luthier.rescue"],
    EXPIRE: ["luthier.tidy"],
}
"""Earlier names of tasks, under which jobs may still be in the queue."""
DEFAULT, TRAINING = "default", "training"
QUEUES = {"FINETUNE": TRAINING}
"""Job types with a queue of their own: one machine trains one model at a time."""


class Retry(BaseRetryStrategy):
    """Retries at once what a stopping worker requeues, and with growing delays what fails with the error `on`."""

    def __init__(self, on: type[Exception]) -> None:
        self.on = on

    def get_retry_decision(self, *, exception: BaseException, job: QueuedJob) -> RetryDecision | None:
        """When to try again; None means never."""
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, self.on):
            return RetryDecision(retry_in={"seconds": min(3600, 2**job.attempts)})
        return None


def open_queue(conninfo: str, *, connections: int = 8) -> procrastinate.App:
    """The queue of one database. Enqueuing on a caller's connection needs no pool; a worker opens one."""
    return procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=conninfo, min_size=1, max_size=connections),
    )


class Enqueuer:
    """Enqueues on a connection that is in a transaction: commit and rollback decide."""

    def __init__(self, queue: procrastinate.App) -> None:
        self._queue = queue

    async def run_job(self, connection: object, job_id: str, job_type: str) -> None:
        """Enqueue a job."""
        await self._defer(connection, RUN_JOB, QUEUES.get(job_type, DEFAULT), job_id=job_id)

    async def delete_files(self, connection: object, prefixes: list[str]) -> None:
        """Enqueue the deletion of everything in storage under some prefixes."""
        await self._defer(connection, DELETE_FILES, DEFAULT, prefixes=prefixes)
        # and again once no upload can be under way: a late PUT must not leave an orphan
        await self._defer(connection, DELETE_FILES, DEFAULT, delay_s=UPLOAD_EXPIRY_S, prefixes=prefixes)

    async def unload(self, connection: object, model_ids: list[str]) -> None:
        """Enqueue the unloading of models from the model runtime."""
        await self._defer(connection, UNLOAD, DEFAULT, model_ids=model_ids)

    async def _defer(
        self, connection: object, task: str, queue: str, *, delay_s: int = 0, **arguments: object
    ) -> None:
        due = {"schedule_in": {"seconds": delay_s}} if delay_s else {}
        configured = self._queue.configure_task(
            task, allow_unknown=True, queue=queue, connection=connection, **due
        )
        await configured.defer_async(**arguments)  # type: ignore[arg-type]  # any JSON is an argument
