"""The rows of fine-tunes, deployments and keys: notifications, constraints, owners."""

from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest

from app.settings import Settings
from domain import ids
from domain.api_keys import new_key
from domain.deployments import DeploymentStatus
from domain.errors import Conflict
from domain.ids import Noun
from domain.reading import require
from domain.services import Services
from domain.store import Store
from infra.db.engine import conninfo
from infra.db.gateway import CHANNEL
from tests.clients import Api
from tests.finetuning import create_finetune, new_dataset, new_project

pytestmark = pytest.mark.anyio

UNKNOWN = "dep_00000000000000000000000000"


@pytest.fixture
async def listening(settings: Settings) -> AsyncIterator[psycopg.AsyncConnection]:
    """A connection that receives the notifications that gateways receive."""
    connection = await psycopg.AsyncConnection.connect(conninfo(settings.database_url), autocommit=True)
    async with connection:
        await connection.execute(f"listen {CHANNEL}")
        yield connection


async def notified(listening: psycopg.AsyncConnection) -> int:
    """How many notifications have come; a marker of our own is sent last."""
    await listening.execute(f"notify {CHANNEL}, 'marker'")
    count = 0
    async for notification in listening.notifies():
        if notification.payload == "marker":
            break
        count += 1
    return count


async def test_every_change_that_a_gateway_must_know_is_notified_when_it_is_committed(
    api: Api, services: Services, listening: psycopg.AsyncConnection
) -> None:
    key, _ = new_key(api.user_id, "a", now=services.now())

    async def artifacts(store: Store) -> None:
        await store.finetunes.set_artifacts("finetune_00000000000000000000000000", [])

    async def status(store: Store) -> None:
        await store.deployments.change(UNKNOWN, {"status": DeploymentStatus.READY})

    async def deleted(store: Store) -> None:
        await store.deployments.delete(UNKNOWN)

    async def added(store: Store) -> None:
        await store.api_keys.add(key)

    async def revoked(store: Store) -> None:
        await store.api_keys.revoke(key.id, now=services.now())

    for change in (artifacts, status, deleted, added, revoked):
        assert await notified(listening) == 0
        async with services.transactions.begin() as store:
            await change(store)
            assert await notified(listening) == 0
        assert await notified(listening) == 1


async def test_the_database_itself_keeps_a_project_from_training_twice(api: Api, services: Services) -> None:
    project_id = await new_project(api)
    made = await create_finetune(api, project_id, await new_dataset(services, api, project_id))
    async with services.transactions.begin() as store:
        first = await require(store.finetunes, made["finetune"]["id"], viewer_id=api.user_id)
    second = replace(first, id=ids.new(Noun.FINETUNE), version=2)
    with pytest.raises(Conflict) as refused:
        async with services.transactions.begin() as store:
            await store.finetunes.add(second)
    assert refused.value.reason == "TRAINING_ALREADY_RUNNING"


async def test_a_fine_tunes_owner_is_known_without_a_viewer(api: Api, services: Services) -> None:
    project_id = await new_project(api)
    made = await create_finetune(api, project_id, await new_dataset(services, api, project_id))
    async with services.transactions.begin() as store:
        assert await store.finetunes.owner_of(made["finetune"]["id"]) == api.user_id
        assert await store.finetunes.owner_of("garbage") is None
