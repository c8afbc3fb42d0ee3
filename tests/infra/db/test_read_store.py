"""A read store has no transaction, so a write through it would be committed at once: it is refused."""

from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.base_models import TINY
from domain.ids import Noun
from domain.reading import require
from domain.services import Services
from domain.store import Store
from infra.db import tables
from infra.db.projects import SqlProjects
from tests.clients import Api
from tests.sample_data import SampleData, create_sample_data, snapshot

pytestmark = pytest.mark.anyio

WRITES: dict[str, Callable[[Store, SampleData], Awaitable[object]]] = {
    "update": lambda store, sample: store.projects.change(sample.ids[Noun.PROJECT], {"name": "renamed"}),
    "upsert": lambda store, _: store.base_models.put(TINY),
    "delete": lambda store, sample: store.deployments.delete(sample.ids[Noun.DEPLOYMENT]),
    "delete of many rows": lambda store, sample: store.datasets.delete(sample.ids[Noun.DATASET]),
    "update returning": lambda store, sample: store.items.set_deleted(
        sample.ids[Noun.DATASET], True, item_ids=[]
    ),
}
"""One call for each kind of statement, on the store as the type checker would not let a caller use it."""


@pytest.fixture
async def sample(api: Api, services: Services) -> SampleData:
    """A user with an object of every noun."""
    return await create_sample_data(services, api)


@pytest.mark.parametrize("kind", WRITES)
async def test_a_write_through_a_read_store_is_refused_and_changes_nothing(
    sample: SampleData, services: Services, database: AsyncEngine, kind: str
) -> None:
    before = await snapshot(database)
    async with services.transactions.read() as store:
        with pytest.raises(TypeError, match="writes"):
            await WRITES[kind](cast(Store, store), sample)
        assert await require(store.projects, sample.ids[Noun.PROJECT], viewer_id=sample.api.user_id)
    assert await snapshot(database) == before


async def test_an_insert_on_the_session_of_a_read_store_is_refused(
    services: Services, database: AsyncEngine
) -> None:
    before = await snapshot(database)
    async with services.transactions.read() as store:
        session = cast(SqlProjects, store.projects)._session
        with pytest.raises(TypeError, match="writes"):
            await session.execute(insert(tables.api_keys).values(name="a key"))
    assert await snapshot(database) == before


async def test_a_read_store_enqueues_nothing(services: Services) -> None:
    async with services.transactions.read() as store:
        assert not hasattr(store, "background_tasks")
        assert not hasattr(store.jobs, "enqueue")
