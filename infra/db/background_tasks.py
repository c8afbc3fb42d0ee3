"""Background tasks, enqueued by the transaction that makes them necessary."""

from sqlalchemy.ext.asyncio import AsyncSession

from infra.db.engine import driver_connection
from infra.queue import Enqueuer


class SqlBackgroundTasks:
    """Work without a job of its own, enqueued by one transaction."""

    def __init__(self, session: AsyncSession, enqueuer: Enqueuer) -> None:
        self._session = session
        self._enqueuer = enqueuer

    async def delete_files(self, prefixes: list[str]) -> None:
        """Delete everything in storage under these prefixes, after the commit."""
        if prefixes:
            await self._enqueuer.delete_files(await driver_connection(self._session), prefixes)

    async def unload(self, model_ids: list[str]) -> None:
        """Have the model runtime drop these models, after the commit."""
        if model_ids:
            await self._enqueuer.unload(await driver_connection(self._session), model_ids)
