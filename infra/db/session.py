"""Transactions: one SQLAlchemy session each, with the stores of every noun on it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import cast

from psycopg.errors import QueryCanceled
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from domain.errors import Invalid, Unavailable
from infra.db.accounts import SqlAccounts
from infra.db.api_keys import SqlApiKeys
from infra.db.base_models import SqlBaseModels
from infra.db.chores import SqlChores
from infra.db.datasets import SqlDatasets
from infra.db.deployments import SqlDeployments
from infra.db.documents import SqlDocuments
from infra.db.engine import reading
from infra.db.finetunes import SqlFinetunes
from infra.db.idempotency import SqlIdempotency
from infra.db.items import SqlItems
from infra.db.jobs import SqlJobs
from infra.db.projects import SqlProjects
from infra.db.request_logs import SqlRequestLogs
from infra.queue import Enqueuer


class SqlStore:
    """What one transaction can reach."""

    def __init__(self, session: AsyncSession, enqueuer: Enqueuer) -> None:
        self.accounts = SqlAccounts(session)
        self.api_keys = SqlApiKeys(session)
        self.base_models = SqlBaseModels(session)
        self.chores = SqlChores(session, enqueuer)
        self.datasets = SqlDatasets(session)
        self.deployments = SqlDeployments(session)
        self.documents = SqlDocuments(session)
        self.finetunes = SqlFinetunes(session)
        self.idempotency = SqlIdempotency(session)
        self.items = SqlItems(session)
        self.jobs = SqlJobs(session, enqueuer)
        self.projects = SqlProjects(session)
        self.request_logs = SqlRequestLogs(session)


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
    async def read(self) -> AsyncIterator[SqlStore]:
        """As `begin`, for what only reads: without the two trips to the database that a transaction takes.

        A bare connection runs statements as a session does, and takes half of the time to make.
        """
        with _translated():
            async with AsyncExitStack() as stack:
                with reading():
                    connection = await stack.enter_async_context(self._engine.connect())
                yield SqlStore(cast(AsyncSession, connection), self._enqueuer)


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors as the domain's."""
    try:
        yield
    except (DataError, UnicodeEncodeError) as error:
        raise Invalid(
            "A text has a character that can neither be kept nor looked for.", reason="INVALID_TEXT"
        ) from error
    except PoolTimeout as error:
        raise Unavailable("The database is too busy.", reason="DATABASE_BUSY") from error
    except (OperationalError, InterfaceError) as error:
        if isinstance(error.orig, QueryCanceled):
            raise Unavailable("This takes the database too long.", reason="TOO_SLOW") from error
        if _is_lost(error):
            raise Unavailable("The database does not answer.", reason="DATABASE_UNAVAILABLE") from error
        raise


def _is_lost(error: DBAPIError) -> bool:
    """Whether the connection is gone, as opposed to a statement that was refused."""
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) is None
