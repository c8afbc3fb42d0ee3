"""Takes down what the gateway answered: whatever is waiting when the database is free goes in one INSERT."""

import asyncio
import logging
import math
import re
from collections import deque
from contextlib import suppress
from dataclasses import fields
from functools import lru_cache
from time import monotonic

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import ids
from domain.request_logs import RequestLog

logger = logging.getLogger(__name__)


BATCH_ROWS = 1_000
BATCH_BYTES = 8 << 20
QUEUE_BYTES = 64 << 20
"""So much waits for a database that is down; what comes after it is lost, and that is said."""
GATHER_S = 0.02
"""Between two INSERTs: a lone request is written at once, a thousand a second in fifty groups."""
PATIENCE_S = 1.0
RETRY_S = 0.5
WRITE_S = 10.0
FLUSH_S = 5.0
USED_S = 60.0
"""How often a key's `last_used_at` is moved on."""


FIELDS = [field.name for field in fields(RequestLog)]
COLUMNS = ", ".join(name for name in FIELDS if name != "api_key_id")
# A deployment or key that was deleted meanwhile must not hold back the other rows.
INSERT = text(
    f"insert into request_logs ({COLUMNS}, api_key_id) select {COLUMNS}, "  # noqa: S608 - names of ours alone
    "(select k.id from api_keys k where k.id = r.api_key_id) "
    "from json_populate_recordset(null::request_logs, cast(:rows as json)) r "
    "where exists (select from deployments d where d.id = r.deployment_id) "
    "on conflict do nothing"
)
USED = text("update api_keys set last_used_at = now() where id = any(cast(:keys as uuid[]))")
NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


class _Batch:
    """Rows that are written together, and the moment when that is done."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.keys: set[str] = set()
        self.size = 0
        self.kept = asyncio.get_running_loop().create_future()

    @property
    def is_full(self) -> bool:
        return len(self.rows) >= BATCH_ROWS or self.size >= BATCH_BYTES

    def add(self, row: bytes, key: str | None) -> None:
        self.rows.append(row)
        self.size += len(row)
        if key:
            self.keys.add(key)


class GroupRecorder:
    """Writes request logs in groups; while the database is down they wait, in bounded memory."""

    def __init__(self, engine: AsyncEngine, *, queue_bytes: int = QUEUE_BYTES) -> None:
        self._engine = engine
        self._room = queue_bytes
        self._waiting: deque[_Batch] = deque()
        self._writing: _Batch | None = None
        self._writer: asyncio.Task[None] | None = None
        self._used: dict[str, float] = {}
        self._lost = 0
        self._said_at = -math.inf

    async def record(self, log: RequestLog) -> None:
        """Returns once the row is committed, or after a second when the database is in trouble."""
        row = _dumped(log)
        if len(row) > self._room:
            self._lose(1)
            return
        self._room -= len(row)
        batch = self._open_batch()
        batch.add(row, log.api_key_id)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        await asyncio.wait({batch.kept}, timeout=PATIENCE_S)

    async def aclose(self) -> None:
        """Write what waits; what cannot be written within five seconds is lost, and that is said."""
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=FLUSH_S)
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        if rows := sum(len(batch.rows) for batch in self._waiting):
            self._lose(rows)

    def _open_batch(self) -> _Batch:
        if not self._waiting or self._waiting[-1] is self._writing or self._waiting[-1].is_full:
            self._waiting.append(_Batch())
        return self._waiting[-1]

    async def _write_all(self) -> None:
        while self._waiting:
            self._writing = batch = self._waiting[0]
            if await self._keep(batch.rows):
                self._waiting.popleft()
                self._room += batch.size
                batch.kept.set_result(None)
                await self._mark_used(batch.keys)
                await asyncio.sleep(GATHER_S)
            else:
                self._writing = None
                await asyncio.sleep(RETRY_S)

    async def _keep(self, rows: list[bytes]) -> bool:
        """False when the database is in trouble. A row that it refuses does not keep the others out."""
        try:
            await self._execute(INSERT, rows=(b"[" + b",".join(rows) + b"]").decode())
        except (DataError, IntegrityError):
            if len(rows) > 1:
                return all([await self._keep([row]) for row in rows])
            logger.exception("The database refused a request log")
            self._lose(1)
        except (SQLAlchemyError, OSError) as error:
            logger.warning("Request logs wait for the database: %s", type(error).__name__)
            return False
        return True

    async def _mark_used(self, keys: set[str]) -> None:
        now = monotonic()
        due = [key for key in keys if now - self._used.get(key, -math.inf) >= USED_S]
        if due:
            self._used |= dict.fromkeys(due, now)
            with suppress(SQLAlchemyError, OSError):
                await self._execute(USED, keys=[_uuid(key) for key in due])

    async def _execute(self, statement: TextClause, **values: object) -> None:
        async with asyncio.timeout(WRITE_S), self._engine.begin() as connection:
            await connection.execute(statement, values)

    def _lose(self, rows: int) -> None:
        """Count what is lost, and say so at most once a second."""
        self._lost += rows
        if monotonic() - self._said_at > 1:
            self._said_at = monotonic()
            logger.error("%d request logs are lost: the database does not take them", self._lost)


def _dumped(log: RequestLog) -> bytes:
    """A row as JSON, without the one character that PostgreSQL cannot hold."""
    row = {name: getattr(log, name) for name in FIELDS}
    row["id"] = _uuid(log.id)
    row["deployment_id"] = _uuid(log.deployment_id)
    row["api_key_id"] = _uuid(log.api_key_id) if log.api_key_id else None
    dumped = orjson.dumps(row)
    return NUL.sub(rb"\1\\ufffd", dumped) if rb"\u0000" in dumped else dumped


@lru_cache(maxsize=1024)
def _uuid(id: str) -> str:
    return str(ids.uuid_of(id, id.rpartition("_")[0]))
