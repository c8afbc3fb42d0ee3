"""What a transaction makes of a database that is busy or slow, and how large a thing it can delete."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.settings import Settings
from domain.errors import Invalid, Unavailable
from domain.services import Services
from domain.use_cases import documents, projects
from infra.db.engine import engine
from infra.db.transactions import SqlTransactions
from infra.queue import Enqueuer, open_queue
from tests.clients import Api
from tests.conftest import Worker
from tests.importing import csv_table, fetch_dataset, imported_dataset

pytestmark = pytest.mark.anyio

STATEMENT_TIMEOUT_MS, ITEMS, ITEM_MS = 100, 30, 10
"""How long a statement may take, and a write to all of the items does: three times as long."""
SLOW_FUNCTION = f"""create function slow() returns trigger language plpgsql as
  'begin perform pg_sleep({ITEM_MS / 1_000}); return coalesce(new, old); end'"""
SLOW_TRIGGER = "create trigger slow before update or delete on items for each row execute function slow()"
EXISTS = "query($id: ID!) { node(id: $id) { id } }"


@pytest.fixture
async def with_short_timeout(settings: Settings) -> AsyncIterator[SqlTransactions]:
    """Transactions whose statements may take a tenth of a second."""
    own = engine(settings.database_url, size=1, statement_timeout_ms=STATEMENT_TIMEOUT_MS)
    yield SqlTransactions(own, Enqueuer(open_queue("")))
    await own.dispose()


async def test_a_pool_that_is_exhausted_is_unavailable(database: AsyncEngine) -> None:
    own = create_async_engine(database.url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    transactions = SqlTransactions(own, Enqueuer(open_queue("")))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(own.dispose)
        held = await stack.enter_async_context(transactions.begin())
        await held.jobs.has_ended("job_1")
        with pytest.raises(Unavailable, match="too busy"):
            async with transactions.begin() as store:
                await store.jobs.has_ended("job_1")


async def test_a_statement_that_takes_too_long_is_unavailable(
    with_short_timeout: SqlTransactions, database: AsyncEngine
) -> None:
    async with database.begin() as holding:
        await holding.execute(text("lock table jobs in access exclusive mode"))
        with pytest.raises(Unavailable, match="timed out"):
            async with with_short_timeout.begin() as store:
                await store.jobs.has_ended("job_1")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("99999999999::int", "OUT_OF_RANGE"),
        ("'300000-01-01'::timestamptz", "OUT_OF_RANGE"),
        ("convert_from('\\xff', 'UTF8')", "INVALID_TEXT"),
    ],
)
async def test_a_value_that_the_database_cannot_hold_is_invalid(
    services: Services, value: str, reason: str
) -> None:
    with pytest.raises(Invalid) as refused:
        async with services.transactions.begin() as store:
            await cast(Any, store.jobs)._session.execute(text(f"select {value}"))
    assert refused.value.reason == reason


@pytest.fixture
async def large_project(api: Api, worker: Worker, database: AsyncEngine) -> AsyncIterator[tuple[str, str]]:
    """The ids of a project and of the document of its items; writing all of its items takes longer than the timeout."""
    dataset_id = await imported_dataset(api, worker, csv_table(ITEMS))
    found = await fetch_dataset(api, dataset_id, "project { id } documents(first: 1) { nodes { id } }")
    async with database.begin() as connection:
        await connection.execute(text(SLOW_FUNCTION))
        await connection.execute(text(SLOW_TRIGGER))
    yield found["project"]["id"], found["documents"]["nodes"][0]["id"]
    async with database.begin() as connection:
        await connection.execute(text("drop function slow cascade"))


async def test_a_document_goes_however_long_its_items_take(
    api: Api, large_project: tuple[str, str], with_short_timeout: SqlTransactions
) -> None:
    async with with_short_timeout.begin() as store:
        await documents.delete(store, large_project[1], viewer_id=api.user_id)
    assert (await api.gql(EXISTS, id=large_project[1]))["node"] is None


async def test_a_project_goes_however_long_its_items_take(
    api: Api, large_project: tuple[str, str], with_short_timeout: SqlTransactions
) -> None:
    async with with_short_timeout.begin() as store:
        await projects.delete(store, large_project[0], viewer_id=api.user_id)
    assert (await api.gql(EXISTS, id=large_project[0]))["node"] is None
