"""Statements that psycopg runs by itself: they find what a transaction finds, and fail as one fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from operator import attrgetter

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import Settings
from app.wiring import Wiring
from domain.errors import Unavailable
from domain.ids import Noun
from domain.pages import PageRequest
from domain.reading import Collection, Parent
from domain.services import Services
from infra.db import engine as module
from infra.db.engine import engine
from infra.db.transactions import SqlTransactions
from infra.queue import Enqueuer
from tests.clients import Api
from tests.sample_data import create_sample_data

pytestmark = pytest.mark.anyio

LISTS = {
    Noun.API_KEY: None,
    Noun.BASE_MODEL: None,
    Noun.DATASET: None,
    Noun.ITEM: Parent.DATASET,
    Noun.DEPLOYMENT: None,
    Noun.DOCUMENT: Parent.PROJECT,
    Noun.FINETUNE: None,
    Noun.JOB: None,
    Noun.PROJECT: None,
    Noun.REQUEST_LOG: Parent.DEPLOYMENT,
}
"""Each noun that has pages, and its parent where it has no list over all."""


@pytest.fixture
async def with_short_timeout(settings: Settings, wiring: Wiring) -> AsyncIterator[SqlTransactions]:
    """Transactions on one connection, whose statements may take a tenth of a second."""
    own = engine(settings.database_url, size=1, statement_timeout_ms=100)
    yield SqlTransactions(own, Enqueuer(wiring.queue))
    await own.dispose()


@pytest.mark.parametrize("noun", LISTS)
async def test_a_statement_by_itself_finds_what_one_in_a_transaction_finds(
    api: Api, services: Services, noun: Noun
) -> None:
    sample, by = await create_sample_data(services, api), LISTS[noun]
    parent = api.user_id if by is None else sample.ids[Noun[by.name]]
    reader = attrgetter(Collection(noun).name.lower())
    found = []
    for opened in (services.transactions.read, services.transactions.begin):
        async with opened() as store:
            rows = await reader(store).many([sample.ids[noun], "garbage"], viewer_id=api.user_id)
            page = (
                await reader(store).pages(
                    [parent], PageRequest(size=100), parent_kind=by, viewer_id=api.user_id
                )
            )[parent]
            found.append((rows, page.rows, page.cursor(0), page.has_next, page.has_previous))
    assert found[0] == found[1]
    rows, listed, *_ = found[0]
    assert list(rows) == [sample.ids[noun]]
    assert rows[sample.ids[noun]] in listed


async def test_the_same_page_of_many_parents_is_each_one_s_own(api: Api, services: Services) -> None:
    samples = [await create_sample_data(services, api) for _ in range(3)]
    parents = [sample.ids["Project"] for sample in samples]
    async with services.transactions.read() as store:
        pages = await store.datasets.pages(
            [*parents, "prj_garbage"], PageRequest(), parent_kind=Parent.PROJECT, viewer_id=api.user_id
        )
    assert [{row.project_id for row in pages[parent].rows} for parent in parents] == [
        {parent} for parent in parents
    ]
    assert pages["prj_garbage"].rows == ()


async def test_a_statement_that_takes_too_long_is_unavailable(
    api: Api, with_short_timeout: SqlTransactions, database: AsyncEngine
) -> None:
    async with database.begin() as holding:
        await holding.execute(text("lock table projects in access exclusive mode"))
        with pytest.raises(Unavailable, match="timed out"):
            async with with_short_timeout.read() as store:
                await store.projects.pages([api.user_id], PageRequest(), viewer_id=api.user_id)
    async with with_short_timeout.read() as store:  # and the connection is as good as before
        assert await store.projects.pages([api.user_id], PageRequest(), viewer_id=api.user_id)


async def test_a_connection_that_is_lost_is_missed_once(
    api: Api, with_short_timeout: SqlTransactions, database: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PING_AFTER_IDLE_S", 1_000.0)  # no ping finds it

    async def account() -> object:
        async with with_short_timeout.read() as store:
            return await store.accounts.get(api.user_id, viewer_id=api.user_id)

    assert await account()
    ours = text(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where pid <> pg_backend_pid() and query like '%FROM users%' and state = 'idle'"
    )
    async with database.connect() as connection:
        assert (await connection.execute(ours)).scalars().all()
    with pytest.raises(Unavailable, match="does not answer"):
        await account()
    assert await account()


async def test_a_statement_that_is_cancelled_leaves_a_connection_that_serves_the_next(
    api: Api, services: Services, database: AsyncEngine
) -> None:
    async def listed() -> object:
        async with services.transactions.read() as store:
            return await store.projects.pages([api.user_id], PageRequest(), viewer_id=api.user_id)

    async with database.begin() as holding:
        await holding.execute(text("lock table projects in access exclusive mode"))
        task = asyncio.ensure_future(listed())
        waits = text("select 1 from pg_locks where not granted")
        while (await holding.execute(waits)).first() is None:  # noqa: ASYNC110 - PostgreSQL tells nobody
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError, Unavailable):
            await task
    assert await listed()
