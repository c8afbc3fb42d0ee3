"""How a job is worked: taken, handled, ended; and left alone at once when it is no longer ours."""

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

log = logging.getLogger(__name__)

Handler = Callable[[Services, Job], Awaitable[Mapping[str, Any] | None]]

MAX_ATTEMPTS = 5
"""How often work is begun that finds a server away and comes no further; then the job fails with that reason."""


class TryAgainError(Exception):
    """Something that the work needs is away for now."""


async def report(services: Services, job: Job, events: Sequence[Event]) -> None:
    """Record what a job says, in a short transaction of its own. Raises `Superseded`: then stop."""
    async with services.transactions.begin() as store:
        await store.job_events.append(job, events)


class Dispatcher:
    """Works jobs, whichever their type."""

    def __init__(self, services: Services, handlers: Mapping[JobType, Handler]) -> None:
        self._services = services
        self._handlers = handlers

    async def work(self, job_id: str) -> None:
        """Work one job to its end. A second run of the same job does no harm.

        Raises `TryAgainError` while the database is away.
        """
        try:
            async with self._services.transactions.begin() as store:
                job = await job_lifecycle.begin(store, job_id)
            if job is not None:
                await self._end(job, await self._handle(job))
        except Superseded:
            log.info("job %s is no longer ours: it has ended, is deleted, or was begun anew", job_id)
        except Unavailable as error:
            raise TryAgainError from error

    async def _handle(self, job: Job) -> Mapping[str, Any] | DomainError | None:
        """What the handler gives, or the refusal that it met; cancelled as soon as the job is not ours."""
        handling = asyncio.ensure_future(self._handlers[job.type](self._services, job))
        watching = asyncio.ensure_future(self._services.streams.lost(job))
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
            log.exception("job %s failed", job.id)
            return Fault(f"Something went wrong inside Luthier; its log says what, under {job.id}.")
        finally:
            await _stop(handling, watching)

    async def _is_stuck(self, job: Job) -> bool:
        async with self._services.transactions.begin() as store:
            return await job_lifecycle.is_stuck(store, job, MAX_ATTEMPTS)

    async def _end(self, job: Job, outcome: Mapping[str, Any] | DomainError | None) -> None:
        async with self._services.transactions.begin() as store:
            if isinstance(outcome, DomainError):
                await store.job_events.append(job, [LogLine(outcome.message)])
                await job_lifecycle.fail(store, job, outcome.message)
            else:
                await job_lifecycle.succeed(store, job, outcome)


class Fault(Unavailable):
    """A fault of ours, told without its inside."""


def _result(
    handling: "asyncio.Future[Mapping[str, Any] | None]", watching: "asyncio.Future[None]"
) -> Mapping[str, Any] | None:
    """What a handler gave; raises `Superseded` when the job was lost before, or why nobody can tell."""
    if handling.done():
        return handling.result()
    watching.result()
    raise Superseded


async def _stop(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel what still runs, and wait until it has cleaned up."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
