"""Runs jobs by their handlers, and stops a handler as soon as its job is cancelled or superseded."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from domain.errors import DomainError, Unavailable
from domain.job_events import Event, LogLine
from domain.jobs import Job, JobType, Superseded
from domain.services import Services
from domain.use_cases import job_lifecycle

logger = logging.getLogger(__name__)

Handler = Callable[[Services, Job], Awaitable[Mapping[str, Any] | None]]

MAX_ATTEMPTS = 5
"""Attempts without progress of a job whose server is unavailable; then the job fails with that reason."""


class RetryableError(Exception):
    """The database, or a server that the job needs, is unavailable: run the job again later."""


async def record_events(services: Services, job: Job, events: Sequence[Event]) -> None:
    """Append a job's events in a transaction of its own. Raises `Superseded`, after which the handler must end."""
    async with services.transactions.begin() as store:
        await store.job_events.append(job, events)


class Dispatcher:
    """Runs each job by the handler of its type."""

    def __init__(self, services: Services, handlers: Mapping[JobType, Handler]) -> None:
        self._services = services
        self._handlers = handlers

    async def work(self, job_id: str) -> None:
        """Run one job to its end. It may run twice: handlers are idempotent.

        Raises `RetryableError` while the database, or a server that the job needs, is unavailable.
        """
        try:
            async with self._services.transactions.begin() as store:
                job = await job_lifecycle.start(store, job_id)
            if job is not None:
                await self._end(job, await self._handle(job))
        except Superseded:
            logger.info(
                "Job %s was stopped: it has ended, is deleted, or another worker has started it.", job_id
            )
        except Unavailable as error:
            raise RetryableError from error

    async def _handle(self, job: Job) -> Mapping[str, Any] | DomainError | None:
        """The handler's result or error. Raises `Superseded` as soon as the job is no longer this worker's."""
        handling = asyncio.ensure_future(self._handlers[job.type](self._services, job))
        watching = asyncio.ensure_future(self._services.job_streams.until_ended(job))
        try:
            await asyncio.wait({handling, watching}, return_when=asyncio.FIRST_COMPLETED)
            return _result(handling, watching)
        except Unavailable as error:
            if not await self._is_stuck(job):
                raise
            return error
        except DomainError as error:
            return error
        except Superseded:
            raise
        except Exception:
            logger.exception("Job %s failed.", job.id)
            return InternalError(f"Something went wrong inside Luthier; its log says what, under {job.id}.")
        finally:
            await _stop(handling, watching)

    async def _is_stuck(self, job: Job) -> bool:
        async with self._services.transactions.read() as store:
            return await job_lifecycle.made_no_progress(store, job, MAX_ATTEMPTS)

    async def _end(self, job: Job, outcome: Mapping[str, Any] | DomainError | None) -> None:
        async with self._services.transactions.begin() as store:
            if isinstance(outcome, DomainError):
                await store.job_events.append(job, [LogLine(outcome.message)])
                await job_lifecycle.fail(store, job, outcome.message)
            else:
                await job_lifecycle.succeed(store, job, outcome)


class InternalError(Unavailable):
    """An error in Luthier itself, whose details are in the log alone."""


def _result(
    handling: "asyncio.Future[Mapping[str, Any] | None]", watching: "asyncio.Future[None]"
) -> Mapping[str, Any] | None:
    """The handler's result. Raises `Superseded` when the job was lost first, or the error of watching it."""
    if handling.done():
        return handling.result()
    watching.result()
    raise Superseded


async def _stop(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel the tasks, and wait for their cleanup."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
