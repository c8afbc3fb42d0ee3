"""Transactions: one SQLAlchemy session each, with the stores of every noun on it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import cast

import psycopg
from psycopg.errors import QueryCanceled
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from domain.errors import DomainError, Invalid, Unavailable
from infra.db.accounts import SqlAccounts
from infra.db.api_keys import SqlApiKeys
from infra.db.background_tasks import SqlBackgroundTasks
from infra.db.base_models import SqlBaseModels
from infra.db.datasets import SqlDatasets, SqlImportedDocuments
from infra.db.deployments import SqlDeployments
from infra.db.documents import SqlDocuments
from infra.db.finetunes import SqlFinetunes
from infra.db.frozen_items import SqlFrozenItems
from infra.db.idempotency import SqlIdempotency
from infra.db.items import SqlItems
from infra.db.job_events import SqlJobEvents
from infra.db.jobs import SqlJobReads, SqlJobs
from infra.db.projects import SqlProjects
from infra.db.request_logs import SqlRequestLogs
from infra.db.statements import Reading
from infra.db.training_points import SqlTrainingPoints
from infra.queue import Enqueuer

LOST = ("08", "57P")
"""The classes of SQLSTATE of connections that failed, and of servers that are being stopped."""


class SqlReadStore:
    """What can be read, each statement by itself. It has nothing that writes but what it is typed not to show."""

    def __init__(self, session: AsyncSession) -> None:
        self.accounts = SqlAccounts(session)
        self.api_keys = SqlApiKeys(session)
        self.base_models = SqlBaseModels(session)
        self.datasets = SqlDatasets(session)
        self.deployments = SqlDeployments(session)
        self.documents = SqlDocuments(session)
        self.finetunes = SqlFinetunes(session)
        self.frozen_items = SqlFrozenItems(session)
        self.imported_documents = SqlImportedDocuments(session)
        self.items = SqlItems(session)
        self.job_events = SqlJobEvents(session)
        self.jobs = SqlJobReads(session)
        self.projects = SqlProjects(session)
        self.request_logs = SqlRequestLogs(session)
        self.training_points = SqlTrainingPoints(session)


class SqlStore(SqlReadStore):
    """What one transaction can reach."""

    jobs: SqlJobs

    def __init__(self, session: AsyncSession, enqueuer: Enqueuer) -> None:
        super().__init__(session)
        self.background_tasks = SqlBackgroundTasks(session, enqueuer)
        self.idempotency = SqlIdempotency(session)
        self.jobs = SqlJobs(session, enqueuer)


class SqlTransactions:
    """Opens transactions on one engine."""

    def __init__(self, engine: AsyncEngine, enqueuer: Enqueuer) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._engine = engine
        self._enqueuer = enqueuer

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[SqlStore]:
        """Commits when the block ends, rolls back when it raises.

        Raises `Unavailable` where the database is away, too busy or too slow.
        """
        with _translated():
            async with self._sessions.begin() as session:
                yield SqlStore(session, self._enqueuer)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqlReadStore]:
        """For what only reads: without the two trips to the database that a transaction takes.

        Raises `Unavailable` where the database is away, too busy or too slow.
        """
        session = Reading(self._engine)
        with _translated():
            try:
                yield SqlReadStore(cast(AsyncSession, session))
            finally:
                await session.close()


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors as the domain's, whether or not SQLAlchemy has wrapped them."""
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("The database is too busy.", reason="DATABASE_BUSY") from error
    except (DBAPIError, psycopg.Error, UnicodeEncodeError) as error:
        told = _told(error.orig if isinstance(error, DBAPIError) else error)
        if told is None:
            raise
        raise told from error


def _told(error: BaseException | None) -> DomainError | None:
    """What is told of an error of the driver; None where it is a fault of ours."""
    if isinstance(error, psycopg.DataError | UnicodeEncodeError):
        message = "A text has a character that can neither be kept nor looked for."
        return Invalid(message, reason="INVALID_TEXT")
    if isinstance(error, QueryCanceled):
        return Unavailable("This takes the database too long.", reason="TOO_SLOW")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and _is_lost(error):
        return Unavailable("The database does not answer.", reason="DATABASE_UNAVAILABLE")
    return None


def _is_lost(error: psycopg.Error) -> bool:
    """Whether the connection is gone, as opposed to a statement that was refused."""
    return error.sqlstate is None or error.sqlstate.startswith(LOST)
