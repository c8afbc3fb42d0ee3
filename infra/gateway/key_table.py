"""The gateway's table of keys: in memory for speed, from PostgreSQL for truth."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import ColumnElement, RowMapping, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.api_keys import digest_of
from domain.deployments import DeploymentStatus
from domain.errors import NotFound, Unauthenticated, Unavailable
from domain.ports.gateway import Route
from domain.ports.model_runtime import ModelFile
from domain.rules import safe_name
from infra.db.gateway import CHANNEL
from infra.db.tables import api_keys, deployments, finetunes

logger = logging.getLogger(__name__)


RECONNECT_S = 0.5
REREAD_S = 15.0
"""Everything is read again so often, whatever was or was not heard: a dead line swallows a NOTIFY."""
ANSWER_S = 3.0
READERS = 4
"""Connections at once: a flood of guessed keys must not take those of everybody else."""
KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "connect_timeout": 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a key opens."""

    digest: bytes
    project_id: str
    expires_at: datetime | None
    is_ready: bool
    names: frozenset[str]
    route: Route

    def opens(self, project_id: str) -> bool:
        """Whether the key is one of this project's, and still good."""
        in_time = self.expires_at is None or self.expires_at > datetime.now(UTC)
        return self.project_id == project_id and in_time


Table = Mapping[bytes, Entry]


class LiveDirectory:
    """Keys and deployments as the database has them: within milliseconds by NOTIFY, at once when it matters.

    A refusal is confirmed in the database before it is said, so that a key or deployment made a moment
    ago works here too. While the database is down, the keys that are known go on working. Use it as an
    asynchronous context manager.
    """

    def __init__(self, engine: AsyncEngine, conninfo: str) -> None:
        self._engine = engine
        self._conninfo = make_conninfo(conninfo, **KEEPALIVE)
        self._table: Table = {}
        self._changed = asyncio.Event()
        self._readers = asyncio.Semaphore(READERS)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._changed.set()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._keep_true())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def route(self, project_id: str, secret: str, model_name: str) -> Route:
        """Where a request goes; raises `Unauthenticated`, `NotFound`, `Unavailable`."""
        digest = digest_of(secret)
        try:
            return _route(self._table.get(digest), project_id, model_name)
        except (Unauthenticated, NotFound):
            return _route(await self._look_up(digest), project_id, model_name)

    async def model_names(self, project_id: str, secret: str) -> list[str]:
        """The models that a key may ask; raises `Unauthenticated`, `Unavailable`."""
        digest = digest_of(secret)
        entry = self._table.get(digest)
        if entry is None or not entry.opens(project_id) or not entry.is_ready:
            entry = await self._look_up(digest)
        entry = _opened(entry, project_id)
        return [entry.route.model_name] if entry.is_ready else []

    async def _look_up(self, digest: bytes) -> Entry | None:
        """What the database says of one key; what is known of it when the database says nothing.

        The answer is not added to the table: it may be older than what the table has by then.
        """
        try:
            return (await self._read(api_keys.c.digest == digest)).get(digest)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            if digest in self._table:
                return self._table[digest]
            raise Unavailable("The key cannot be checked now; try again in a moment.") from error

    async def _read(self, *conditions: ColumnElement[bool]) -> Table:
        async with asyncio.timeout(ANSWER_S), self._readers, self._engine.connect() as connection:
            rows = (await connection.execute(SELECT.where(*conditions))).mappings().all()
        return {row["digest"]: _entry(row) for row in rows}

    async def _keep_true(self) -> None:
        while True:
            with suppress(TimeoutError):  # wait_for would lose a cancellation on Python 3.11
                async with asyncio.timeout(REREAD_S):
                    await self._changed.wait()
            self._changed.clear()  # first: what changes from here on sets it again
            try:
                self._table = await self._read()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                logger.warning("The keys could not be read again: %s", type(error).__name__)
                self._changed.set()
                await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        while True:
            with suppress(psycopg.Error, OSError):
                await self._hear()
            await asyncio.sleep(RECONNECT_S)

    async def _hear(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        async with connection:
            await connection.execute(f"listen {CHANNEL}")
            self._changed.set()  # nobody told us what changed while we did not listen
            async for _ in connection.notifies():
                self._changed.set()


SELECT = (
    select(
        api_keys.c.id,
        api_keys.c.digest,
        api_keys.c.expires_at,
        deployments.c.id.label("deployment_id"),
        deployments.c.project_id,
        deployments.c.model_name,
        deployments.c.status,
        finetunes.c.id.label("finetune_id"),
        finetunes.c.model_name.label("tuned_name"),
        finetunes.c.artifacts,
    )
    .select_from(api_keys.join(deployments).outerjoin(finetunes))
    .where(api_keys.c.revoked_at.is_(None))
)


def _opened(entry: Entry | None, project_id: str) -> Entry:
    """The entry, when its key is one of the project's. One answer for every reason why not."""
    if entry is None or not entry.opens(project_id):
        raise Unauthenticated("The API key is not one of this project's.", reason="INVALID_API_KEY")
    return entry


def _route(entry: Entry | None, project_id: str, model_name: str) -> Route:
    entry = _opened(entry, project_id)
    if not entry.is_ready or model_name not in entry.names:
        raise NotFound(
            f"The model '{model_name}' does not exist, or this key may not ask it.", reason="MODEL_NOT_FOUND"
        )
    return entry.route


def _entry(row: RowMapping) -> Entry:
    target = row["model_name"] if row["finetune_id"] is None else _model_file(row)
    return Entry(
        digest=row["digest"],
        project_id=row["project_id"],
        expires_at=row["expires_at"],
        is_ready=row["status"] is DeploymentStatus.READY and target is not None,
        names=frozenset({row["model_name"], row["tuned_name"]} - {None}),
        route=Route(
            deployment_id=row["deployment_id"],
            api_key_id=row["id"],
            model_name=row["model_name"],
            target=target or "",
        ),
    )


def _model_file(row: RowMapping) -> ModelFile | None:
    """The fine-tune's GGUF; None while it has none."""
    filename = f"{safe_name(row['tuned_name'])}.gguf"
    for artifact in row["artifacts"]:
        if artifact["filename"] == filename:
            return ModelFile(
                model_id=row["finetune_id"],
                s3_key=f"finetunes/{row['finetune_id']}/{filename}",
                size_bytes=artifact["size_bytes"],
                sha256=artifact["sha256"],
            )
    return None
