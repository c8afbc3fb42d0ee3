import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import Settings
from domain.api_keys import digest_of_secret
from domain.deployments import DeploymentStatus
from domain.errors import NotFound, Unauthenticated, Unavailable
from domain.ports.gateway import Route
from domain.ports.model_runtime import ModelFile
from infra.db.engine import conninfo, engine
from infra.db.gateway import CHANNEL
from infra.db.tables import api_keys, deployments, finetunes
from infra.events.listener import Listener
from infra.gateway.key_table import SqlKeyTable
from tests.infra.gateway.rows import ADAPTER, GGUF, NOW, DatabaseProxy, GatewayRows, add_project

pytestmark = pytest.mark.anyio


@dataclass
class KeyTableSetup:
    rows: GatewayRows
    keys: SqlKeyTable
    listener: Listener
    proxy: DatabaseProxy

    async def route(self, secret: str, model: str = "demo") -> Route:
        """Where the table sends a request."""
        return await self.keys.route(self.rows.project_id, secret, model)

    async def model_names(self, secret: str) -> list[str]:
        """The names of the models that a key opens."""
        return [route.model_name for route in await self.keys.routes(self.rows.project_id, secret)]

    async def until(self, secret: str, *, known: bool) -> None:
        """Wait until the table in memory has a key or has it no longer."""
        async with asyncio.timeout(10), self.rows.engine.connect() as connection:
            while (digest_of_secret(secret) in self.keys._entries) is not known:
                await connection.execute(text("select 1"))


@pytest.fixture
async def idle(database: AsyncEngine, settings: Settings) -> AsyncIterator[KeyTableSetup]:
    """A table that neither reads nor listens by itself yet."""
    rows = await add_project(database)
    with tempfile.TemporaryDirectory() as folder:
        proxy = DatabaseProxy(settings.database_url, Path(folder))
        await proxy.start()
        own = engine(proxy.url)
        listener = Listener(conninfo(proxy.url), CHANNEL)
        yield KeyTableSetup(rows, SqlKeyTable(own, listener), listener, proxy)
        await own.dispose()
        await proxy.stop()


@pytest.fixture
async def key_table(idle: KeyTableSetup) -> AsyncIterator[KeyTableSetup]:
    """A table that is kept up to date."""
    async with idle.listener, idle.keys:
        yield idle


async def test_a_key_leads_to_its_fine_tune_by_either_name(key_table: KeyTableSetup) -> None:
    finetune_id = await key_table.rows.finetune(ADAPTER, GGUF)
    deployment_id = await key_table.rows.deployment("demo", finetune_id)
    key_id, secret = await key_table.rows.key(deployment_id)

    route = await key_table.route(secret)

    assert route == Route(
        deployment_id=deployment_id,
        api_key_id=key_id,
        model_name="demo",
        created_at=NOW,
        target=ModelFile(
            model_id=finetune_id,
            s3_key=f"finetunes/{finetune_id}/llama_3.2_demo_v1.gguf",
            size_bytes=7,
            sha256="ab",
        ),
    )
    assert await key_table.route(secret, "llama/3.2_demo_v1") == route
    assert await key_table.route(secret, "3.2_demo_v1") == route
    assert await key_table.model_names(secret) == ["demo"]


async def test_the_only_gguf_of_a_fine_tune_is_its_model_whatever_its_name(key_table: KeyTableSetup) -> None:
    finetune_id = await key_table.rows.finetune(ADAPTER, replace(GGUF, filename="model.gguf"))
    _, secret = await key_table.rows.key(await key_table.rows.deployment("demo", finetune_id))

    target = (await key_table.route(secret)).target

    assert isinstance(target, ModelFile)
    assert target.s3_key == f"finetunes/{finetune_id}/model.gguf"


async def test_a_deployment_without_a_fine_tune_is_the_runtimes_own_model(key_table: KeyTableSetup) -> None:
    _, secret = await key_table.rows.key(await key_table.rows.deployment("llama3.2"))

    assert (await key_table.route(secret, "llama3.2")).target == "llama3.2"


@pytest.mark.parametrize(
    ("model", "is_found"),
    [("a/b/c", True), ("b/c", True), ("c", False), ("a", False), ("a/", False), ("", False)],
)
async def test_a_model_is_found_without_the_part_before_its_first_slash_too(
    idle: KeyTableSetup, model: str, *, is_found: bool
) -> None:
    _, secret = await idle.rows.key(await idle.rows.deployment("a/b/c"))

    if is_found:
        assert (await idle.route(secret, model)).model_name == "a/b/c"
    else:
        with pytest.raises(NotFound):
            await idle.route(secret, model)


async def test_a_key_of_a_moment_ago_works_before_it_is_in_the_table(idle: KeyTableSetup) -> None:
    _, secret = await idle.rows.key(await idle.rows.deployment())

    assert (await idle.route(secret)).model_name == "demo"
    assert await idle.model_names(secret) == ["demo"]
    assert not idle.keys._entries


async def test_a_deployment_that_was_not_ready_a_moment_ago_works(idle: KeyTableSetup) -> None:
    deployment_id = await idle.rows.deployment(status=DeploymentStatus.STARTING)
    _, secret = await idle.rows.key(deployment_id)
    async with idle.keys:
        await idle.until(secret, known=True)
    with pytest.raises(NotFound):
        await idle.route(secret)
    assert await idle.model_names(secret) == []

    await idle.rows.change(update(deployments).values(status=DeploymentStatus.READY))

    assert (await idle.route(secret)).deployment_id == deployment_id
    assert await idle.model_names(secret) == ["demo"]


async def test_a_revoked_key_is_out_of_the_table_within_a_second(key_table: KeyTableSetup) -> None:
    key_id, secret = await key_table.rows.key(await key_table.rows.deployment())
    await key_table.until(secret, known=True)

    await key_table.rows.change(update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=NOW))

    await key_table.until(secret, known=False)
    with pytest.raises(Unauthenticated):
        await key_table.route(secret)


async def test_every_key_that_does_not_fit_has_the_same_response(key_table: KeyTableSetup) -> None:
    _, secret = await key_table.rows.key(await key_table.rows.deployment())
    _, late = await key_table.rows.key(
        await key_table.rows.deployment("b"), expires_at=NOW - timedelta(seconds=1)
    )
    _, revoked = await key_table.rows.key(await key_table.rows.deployment("c"), revoked_at=NOW)
    _, account = await key_table.rows.key(None)
    other = await add_project(key_table.rows.engine)
    messages = set()

    for project_id, given in [
        (other.project_id, secret),
        (key_table.rows.project_id, late),
        (key_table.rows.project_id, revoked),
        (key_table.rows.project_id, account),
        (key_table.rows.project_id, "lk_guess"),
        ("garbage", secret),
    ]:
        with pytest.raises(Unauthenticated) as by_route:
            await key_table.keys.route(project_id, given, "demo")
        with pytest.raises(Unauthenticated) as by_list:
            await key_table.keys.routes(project_id, given)
        messages |= {by_route.value.message, by_list.value.message}

    assert messages == {"The API key is not one of this project's."}


@pytest.mark.parametrize(
    "status", [status for status in DeploymentStatus if status is not DeploymentStatus.READY]
)
async def test_a_deployment_that_is_not_ready_is_not_found(
    key_table: KeyTableSetup, status: DeploymentStatus
) -> None:
    _, secret = await key_table.rows.key(await key_table.rows.deployment(status=status))

    with pytest.raises(NotFound, match="'demo' does not exist"):
        await key_table.route(secret)


async def test_another_deployments_model_is_not_found(key_table: KeyTableSetup) -> None:
    await key_table.rows.deployment("other")
    _, secret = await key_table.rows.key(await key_table.rows.deployment("demo"))

    with pytest.raises(NotFound, match="'other' does not exist"):
        await key_table.route(secret, "other")


async def test_a_model_is_found_once_its_file_is_there(key_table: KeyTableSetup) -> None:
    finetune_id = await key_table.rows.finetune()
    _, secret = await key_table.rows.key(await key_table.rows.deployment("demo", finetune_id))
    with pytest.raises(NotFound):
        await key_table.route(secret)

    await key_table.rows.change(
        update(finetunes).where(finetunes.c.id == finetune_id).values(artifacts=(GGUF,))
    )

    assert isinstance((await key_table.route(secret)).target, ModelFile)


async def test_without_the_database_known_keys_go_on_and_others_are_not_called_wrong(
    key_table: KeyTableSetup,
) -> None:
    _, known = await key_table.rows.key(await key_table.rows.deployment())
    _, unknown = await key_table.rows.key(await key_table.rows.deployment("new"))
    await key_table.until(known, known=True)
    await key_table.until(
        unknown, known=True
    )  # or a read that began before the deletion could still bring it
    await key_table.rows.change(delete(deployments).where(deployments.c.model_name == "new"))
    await key_table.until(unknown, known=False)

    await key_table.proxy.stop()

    assert (await key_table.route(known)).model_name == "demo"
    with pytest.raises(NotFound):
        await key_table.route(known, "other")
    with pytest.raises(Unavailable, match="cannot be checked now"):
        await key_table.route(unknown)
    with pytest.raises(Unavailable):
        await key_table.keys.routes(key_table.rows.project_id, unknown)


async def test_what_changed_during_an_outage_is_known_after_it(key_table: KeyTableSetup) -> None:
    key_id, secret = await key_table.rows.key(await key_table.rows.deployment())
    await key_table.until(secret, known=True)
    await key_table.proxy.stop()
    await key_table.rows.change(update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=NOW))
    assert (await key_table.route(secret)).api_key_id == key_id

    await key_table.proxy.start()

    await key_table.until(secret, known=False)
