"""Connections of the pool: which ones are reused, and what happens to one whose caller is cancelled."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import Settings
from app.wiring import Wiring
from domain.errors import Unavailable
from domain.pages import PageRequest
from domain.services import Services
from infra.db import engine as module
from infra.db.engine import autocommit, engine
from infra.db.transactions import SqlTransactions
from infra.queue import Enqueuer
from tests.clients import Api

pytestmark = pytest.mark.anyio


@pytest.fixture
async def single_connection(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An engine that keeps one connection."""
    own = engine(settings.database_url, size=1)
    yield own
    await own.dispose()


async def pid_of(own: AsyncEngine) -> int:
    """The process id of the PostgreSQL backend of the next connection from the pool."""
    async with own.connect() as connection:
        return int((await connection.execute(text("select pg_backend_pid()"))).scalar_one())


async def end(database: AsyncEngine, pid: int) -> None:
    """Have PostgreSQL end a connection, and wait until it is gone."""
    async with database.connect() as connection:
        await connection.execute(text("select pg_terminate_backend(:pid, 5000)"), {"pid": pid})


async def test_a_connection_that_was_lost_while_idle_is_replaced(
    single_connection: AsyncEngine, database: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PING_AFTER_IDLE_S", 0.0)
    lost = await pid_of(single_connection)
    await end(database, lost)
    assert await pid_of(single_connection) != lost


async def test_a_connection_that_was_lost_just_now_fails_one_call(
    wiring: Wiring, single_connection: AsyncEngine, database: AsyncEngine
) -> None:
    transactions = SqlTransactions(single_connection, Enqueuer(wiring.queue))
    lost = await pid_of(single_connection)
    await end(database, lost)
    with suppress(Unavailable):  # not once a second has passed: then it was pinged and replaced
        async with transactions.begin() as store:
            await store.accounts.by_email("nobody@example.org")
    assert await pid_of(single_connection) != lost


async def test_what_only_reads_has_no_transaction_around_it(single_connection: AsyncEngine) -> None:
    now = text("select now() = statement_timestamp()")
    for is_reading in (True, False, True):
        async with single_connection.connect() as first:
            await first.execute(text("select 1"))
        if is_reading:
            with autocommit():
                connection = await single_connection.connect().start()
        else:
            connection = await single_connection.connect().start()
        await connection.execute(text("select 1"))
        assert (await connection.execute(now)).scalar_one() is is_reading
        await connection.close()


async def test_a_read_releases_its_connection_whenever_it_is_cancelled(
    api: Api, services: Services, wiring: Wiring
) -> None:
    async def read() -> None:
        async with services.transactions.read() as store:
            await store.accounts.get(api.user_id, viewer_id=api.user_id)

    await read()
    for steps in range(30):
        task = asyncio.ensure_future(read())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    gc.collect()  # a lost connection warns, which is an error in tests
    pool: Any = wiring.engine.sync_engine.pool
    while pool.checkedout():  # noqa: ASYNC110 - the last one may be on its way back
        await asyncio.sleep(0)


async def test_reads_beyond_the_pool_s_size_lose_no_connection(
    api: Api, services: Services, wiring: Wiring, caplog: pytest.LogCaptureFixture
) -> None:
    async def read() -> None:
        async with services.transactions.read() as store:
            await store.projects.pages([api.user_id], PageRequest(), viewer_id=api.user_id)

    pool: Any = wiring.engine.sync_engine.pool
    await asyncio.gather(*(read() for _ in range(2 * pool.size())))
    gc.collect()  # a lost connection warns, which is an error in tests
    assert pool.checkedout() == 0
    assert caplog.records == []
