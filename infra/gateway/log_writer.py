"""Writes the gateway's request logs in batches: what is queued while one INSERT runs goes into the next."""

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
from psycopg.errors import QueryCanceled
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import ids
from domain.request_logs import RequestLog

logger = logging.getLogger(__name__)


BATCH_ROWS = 1_000
BATCH_BYTES = 8 << 20
QUEUE_BYTES = 64 << 20
"""So much is queued while the database is down; what comes after it is discarded, which is logged."""
BATCH_INTERVAL_S = 0.02
"""Between two INSERTs: a single request is written at once, a thousand a second in fifty batches."""
COMMIT_WAIT_S = 1.0
"""How long a request waits for its row to be committed; after that the row is only queued."""
RETRY_S = 0.5
WRITE_TIMEOUT_S = 10.0
FLUSH_TIMEOUT_S = 5.0
LAST_USED_INTERVAL_S = 60.0
"""How often a key's `last_used_at` is updated at most."""


FIELDS = [field.name for field in fields(RequestLog)]
COLUMNS = ", ".join(name for name in FIELDS if name != "api_key_id")
# A row whose deployment or key was deleted meanwhile must not make the others fail.
INSERT = text(
    f"insert into request_logs ({COLUMNS}, api_key_id) select {COLUMNS}, "  # noqa: S608 - names of ours alone
    "(select k.id from api_keys k where k.id = r.api_key_id) "
    "from json_populate_recordset(null::request_logs, cast(:rows as json)) r "
    "where exists (select from deployments d where d.id = r.deployment_id) "
    "on conflict do nothing"
)
UPDATE_LAST_USED = text("update api_keys set last_used_at = now() where id = any(cast(:keys as uuid[]))")
NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


class _Batch:
    """Rows that are written together, and a future that is done once they are committed."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.keys: set[str] = set()
        self.size = 0
        self.committed = asyncio.get_running_loop().create_future()

    @property
    def is_full(self) -> bool:
        return len(self.rows) >= BATCH_ROWS or self.size >= BATCH_BYTES

    def add(self, row: bytes, key: str | None) -> None:
        self.rows.append(row)
        self.size += len(row)
        if key:
            self.keys.add(key)


class BatchLogWriter:
    """Writes request logs in batches; while the database is down they are queued, in bounded memory."""

    def __init__(self, engine: AsyncEngine, *, queue_bytes: int = QUEUE_BYTES) -> None:
        self._engine = engine
        self._free_bytes = queue_bytes
        self._queue: deque[_Batch] = deque()
        self._writing: _Batch | None = None
        self._writer: asyncio.Task[None] | None = None
        self._marked_used_at: dict[str, float] = {}
        self._discarded = 0
        self._logged_at = -math.inf

    async def write(self, log: RequestLog) -> None:
        """Returns once the row is committed, or queued for longer than a second."""
        row = _to_json(log)
        if len(row) > self._free_bytes:
            self._discard(1)
            return
        self._free_bytes -= len(row)
        batch = self._open_batch()
        batch.add(row, log.api_key_id)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        await asyncio.wait({batch.committed}, timeout=COMMIT_WAIT_S)

    async def aclose(self) -> None:
        """Write what is queued; what cannot be written within five seconds is discarded, which is logged."""
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=FLUSH_TIMEOUT_S)
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        if rows := sum(len(batch.rows) for batch in self._queue):
            self._discard(rows)

    def _open_batch(self) -> _Batch:
        if not self._queue or self._queue[-1] is self._writing or self._queue[-1].is_full:
            self._queue.append(_Batch())
        return self._queue[-1]

    async def _write_all(self) -> None:
        while self._queue:
            self._writing = batch = self._queue[0]
            if await self._insert(batch.rows):
                self._queue.popleft()
                self._free_bytes += batch.size
                batch.committed.set_result(None)
                await self._mark_used(batch.keys)
                await asyncio.sleep(BATCH_INTERVAL_S)
            else:
                self._writing = None
                await asyncio.sleep(RETRY_S)

    async def _insert(self, rows: list[bytes]) -> bool:
        """False when the database does not answer. A row that it rejects does not make the others fail."""
        try:
            await self._execute(INSERT, rows=(b"[" + b",".join(rows) + b"]").decode())
        except (DataError, IntegrityError):
            if len(rows) > 1:
                return all([await self._insert([row]) for row in rows])
            logger.exception("The database rejected a request log")
            self._discard(1)
        except (SQLAlchemyError, OSError) as error:
            if _timed_out(error) and len(rows) > 1:  # the same statement would time out for ever
                middle = len(rows) // 2
                return await self._insert(rows[:middle]) and await self._insert(rows[middle:])
            logger.warning("Request logs are queued until the database answers: %s", type(error).__name__)
            return False
        return True

    async def _mark_used(self, keys: set[str]) -> None:
        now = monotonic()
        due = [key for key in keys if now - self._marked_used_at.get(key, -math.inf) >= LAST_USED_INTERVAL_S]
        if due:
            self._marked_used_at |= dict.fromkeys(due, now)
            with suppress(SQLAlchemyError, OSError):
                await self._execute(UPDATE_LAST_USED, keys=[_uuid(key) for key in due])

    async def _execute(self, statement: TextClause, **values: object) -> None:
        async with asyncio.timeout(WRITE_TIMEOUT_S), self._engine.begin() as connection:
            await connection.execute(statement, values)

    def _discard(self, rows: int) -> None:
        """Count discarded rows, and log their number at most once a second."""
        self._discarded += rows
        if monotonic() - self._logged_at > 1:
            self._logged_at = monotonic()
            logger.error(
                "%d request logs are lost: they could not be written to the database", self._discarded
            )


def _timed_out(error: Exception) -> bool:
    """Whether PostgreSQL answers, but the statement took too long."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, QueryCanceled)


def _to_json(log: RequestLog) -> bytes:
    """A row as JSON, with NUL replaced, which PostgreSQL cannot store."""
    row = {name: getattr(log, name) for name in FIELDS}
    row["id"] = _uuid(log.id)
    row["deployment_id"] = _uuid(log.deployment_id)
    row["api_key_id"] = _uuid(log.api_key_id) if log.api_key_id else None
    dumped = orjson.dumps(row)
    return NUL.sub(rb"\1\\ufffd", dumped) if rb"\u0000" in dumped else dumped


@lru_cache(maxsize=1024)
def _uuid(id: str) -> str:
    return str(ids.uuid_of(id, id.rpartition("_")[0]))
