"""Transactions: one SQLAlchemy session each, with the stores of every noun on it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import cast

import psycopg
from psycopg.errors import DatetimeFieldOverflow, NumericValueOutOfRange, QueryCanceled
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
from infra.db.statements import AutocommitSession
from infra.db.training_points import SqlTrainingPoints
from infra.queue import Enqueuer

CONNECTION_FAILURES = ("08", "57P")
"""How the SQLSTATEs begin of connections that failed, and of servers that are shutting down."""


class SqlReadStore:
    """The stores to read from. The type `ReadStore` hides the methods that write."""

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
    """The stores of one transaction."""

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

        Raises `Unavailable` where the database does not answer, is too busy or too slow.
        """
        with _translated():
            async with self._sessions.begin() as session:
                yield SqlStore(session, self._enqueuer)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqlReadStore]:
        """Read without BEGIN and COMMIT, which would take two round trips to the database.

        Raises `Unavailable` where the database does not answer, is too busy or too slow.
        """
        session = AutocommitSession(self._engine)
        with _translated():
            try:
                yield SqlReadStore(cast(AsyncSession, session))
            finally:
                await session.close()


@contextmanager
def _translated() -> Iterator[None]:
    """Raises the driver's errors as the domain's, whether or not SQLAlchemy has wrapped them."""
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("The database is too busy.", reason="DATABASE_BUSY") from error
    except (DBAPIError, psycopg.Error, UnicodeEncodeError) as error:
        translation = _translation(error.orig if isinstance(error, DBAPIError) else error)
        if translation is None:
            raise
        raise translation from error


def _translation(error: BaseException | None) -> DomainError | None:
    """The domain's error for one of the driver; None where it is a programming error."""
    if isinstance(error, NumericValueOutOfRange | DatetimeFieldOverflow):
        message = "A number or a time is outside of the range that can be stored and searched for."
        return Invalid(message, reason="OUT_OF_RANGE")
    if isinstance(error, psycopg.DataError | UnicodeEncodeError):
        message = "A text has a character that can be neither stored nor searched for."
        return Invalid(message, reason="INVALID_TEXT")
    if isinstance(error, QueryCanceled):
        return Unavailable("The database statement timed out.", reason="TOO_SLOW")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and _is_connection_failure(error):
        return Unavailable("The database does not answer.", reason="DATABASE_UNAVAILABLE")
    return None


def _is_connection_failure(error: psycopg.Error) -> bool:
    """Whether the connection failed, as opposed to the statement."""
    return error.sqlstate is None or error.sqlstate.startswith(CONNECTION_FAILURES)
