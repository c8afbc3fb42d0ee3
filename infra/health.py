"""The health of the database, the queue, storage and the model runtime."""

import asyncio
from collections.abc import Awaitable

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ports.health import CONNECTED, Health
from domain.ports.model_runtime import ModelRuntime
from domain.ports.storage import Storage

TIMEOUT_S = 3.0


class HealthCheck:
    """Checks all parts of an installation at once, each for at most `TIMEOUT_S` seconds."""

    def __init__(self, engine: AsyncEngine, storage: Storage, runtime: ModelRuntime, version: str) -> None:
        self._engine = engine
        self._storage = storage
        self._runtime = runtime
        self._version = version

    async def __call__(self) -> Health:
        """The present health of each part."""
        db, queue, storage, llm = await asyncio.gather(
            _within_timeout(self._select("select 1")),
            _within_timeout(self._select("select 1 from procrastinate_jobs limit 1")),
            _within_timeout(self._storage.health()),
            _within_timeout(self._runtime.health()),
        )
        return Health(db=db, queue=queue, storage=storage, llm=llm, version=self._version)

    async def _select(self, statement: str) -> str:
        try:
            async with self._engine.connect() as connection:
                await connection.execute(text(statement))
        except (SQLAlchemyError, OSError):
            return "unavailable"
        return CONNECTED


async def _within_timeout(health: Awaitable[str]) -> str:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await health
    except TimeoutError:
        return "does not answer"
