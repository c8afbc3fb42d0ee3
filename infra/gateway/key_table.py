"""The gateway's table of keys, in memory, as PostgreSQL has it."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from sqlalchemy import ColumnElement, RowMapping, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.api_keys import digest_of_secret
from domain.artifacts import model_artifact
from domain.deployments import DeploymentStatus
from domain.errors import NotFound, Unauthenticated, Unavailable
from domain.ports.gateway import Route
from domain.ports.model_runtime import ModelFile
from domain.storage_keys import artifact_key
from infra.db.gateway import CHANNEL
from infra.db.tables import api_keys, deployments, finetunes
from infra.events.listener import NEVER, Listener

logger = logging.getLogger(__name__)


RETRY_S = 0.5
QUERY_TIMEOUT_S = 3.0
MAX_CONNECTIONS = 4
"""Connections at once: a flood of guessed keys must not use up the pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """A key with the deployment that it opens. `model_names` has the names by which a request may call the model."""

    digest: bytes
    project_id: str
    expires_at: datetime | None
    is_ready: bool
    model_names: frozenset[str]
    route: Route

    def is_valid(self, project_id: str) -> bool:
        """Whether the key is one of this project's and has not expired."""
        has_expired = self.expires_at is not None and self.expires_at <= datetime.now(UTC)
        return self.project_id == project_id and not has_expired


Entries = Mapping[bytes, KeyEntry]
"""Entries by the digests of their keys."""


class SqlKeyTable:
    """Keys and deployments as the database has them, up to date within milliseconds by NOTIFY.

    A refusal is confirmed by a query first, so that a key or deployment works here as soon as it is committed. While the
    database is down, the keys in memory go on working. Use it as an asynchronous context manager.
    """

    def __init__(self, engine: AsyncEngine, listener: Listener) -> None:
        self._engine = engine
        self._changed = listener.wakeup(CHANNEL)
        self._entries: Entries = {}
        self._connections = asyncio.Semaphore(MAX_CONNECTIONS)
        self._refresher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._refresher = asyncio.create_task(self._refresh_forever())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._refresher is not None
        self._refresher.cancel()
        with suppress(asyncio.CancelledError):
            await self._refresher

    async def route(self, project_id: str, secret: str, model_name: str) -> Route:
        """Where a request goes; raises `Unauthenticated`, `NotFound`, `Unavailable`."""
        digest = digest_of_secret(secret)
        try:
            return _route(self._entries.get(digest), project_id, model_name)
        except (Unauthenticated, NotFound):
            return _route(await self._query_entry(digest), project_id, model_name)

    async def routes(self, project_id: str, secret: str) -> list[Route]:
        """The routes to all models that a key opens; raises `Unauthenticated`, `Unavailable`."""
        digest = digest_of_secret(secret)
        entry = self._entries.get(digest)
        if entry is None or not entry.is_valid(project_id) or not entry.is_ready:
            entry = await self._query_entry(digest)
        entry = _require_valid(entry, project_id)
        return [entry.route] if entry.is_ready else []

    async def _query_entry(self, digest: bytes) -> KeyEntry | None:
        """One key as the database has it, or as the table has it while the database does not answer.

        The answer is not added to the table: it may be older than what the table has by then.
        """
        try:
            return (await self._query(api_keys.c.digest == digest)).get(digest)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            if digest in self._entries:
                return self._entries[digest]
            raise Unavailable("The key cannot be checked now; try again in a moment.") from error

    async def _query(self, *conditions: ColumnElement[bool]) -> Entries:
        async with (
            asyncio.timeout(QUERY_TIMEOUT_S),
            self._connections,
            self._engine.connect() as connection,
        ):
            rows = (await connection.execute(SELECT.where(*conditions))).mappings().all()
        return {row["digest"]: _entry(row) for row in rows}

    async def _refresh_forever(self) -> None:
        generation = NEVER
        while True:
            # The generation is taken before the query: a change during the query causes the next one.
            generation = await self._changed.wait(generation)
            try:
                self._entries = await self._query()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                logger.warning("The table of API keys could not be refreshed: %s", type(error).__name__)
                generation = NEVER
                await asyncio.sleep(RETRY_S)


SELECT = (
    select(
        api_keys.c.id,
        api_keys.c.digest,
        api_keys.c.expires_at,
        deployments.c.id.label("deployment_id"),
        deployments.c.project_id,
        deployments.c.model_name,
        deployments.c.status,
        deployments.c.created_at,
        finetunes.c.id.label("finetune_id"),
        finetunes.c.model_name.label("tuned_name"),
        finetunes.c.artifacts,
    )
    .select_from(api_keys.join(deployments).outerjoin(finetunes))
    .where(api_keys.c.revoked_at.is_(None))
)


def _require_valid(entry: KeyEntry | None, project_id: str) -> KeyEntry:
    """Raises the same `Unauthenticated` whatever is wrong with the key."""
    if entry is None or not entry.is_valid(project_id):
        raise Unauthenticated("The API key is not one of this project's.", reason="INVALID_API_KEY")
    return entry


def _route(entry: KeyEntry | None, project_id: str, model_name: str) -> Route:
    entry = _require_valid(entry, project_id)
    if not entry.is_ready or model_name not in entry.model_names:
        raise NotFound(
            f"The model '{model_name}' does not exist, or this key has no access to it.",
            reason="MODEL_NOT_FOUND",
        )
    return entry.route


def _entry(row: RowMapping) -> KeyEntry:
    target = row["model_name"] if row["finetune_id"] is None else _model_file(row)
    return KeyEntry(
        digest=row["digest"],
        project_id=row["project_id"],
        expires_at=row["expires_at"],
        is_ready=row["status"] is DeploymentStatus.READY and target is not None,
        model_names=_names(row["model_name"], row["tuned_name"]),
        route=Route(
            deployment_id=row["deployment_id"],
            api_key_id=row["id"],
            model_name=row["model_name"],
            created_at=row["created_at"],
            target=target or "",
        ),
    )


def _names(*names: str | None) -> frozenset[str]:
    """The names by which a request may call a model: also without the part before the first slash.

    Some clients take that part for the name of a provider, and do not send it.
    """
    whole = {name for name in names if name}
    return frozenset(whole | {name.partition("/")[2] or name for name in whole})


def _model_file(row: RowMapping) -> ModelFile | None:
    """The fine-tune's model; None while it has none."""
    gguf = model_artifact(row["artifacts"], row["tuned_name"])
    if gguf is None:
        return None
    return ModelFile(
        model_id=row["finetune_id"],
        s3_key=artifact_key(row["finetune_id"], gguf.filename),
        size_bytes=gguf.size_bytes,
        sha256=gguf.sha256,
    )
