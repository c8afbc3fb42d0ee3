"""The catalog in the database: what is updated, what stays, and what goes."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.base_models import TINY, BaseModel, ModelSource, id_of
from domain.model_catalog import REMOVED
from domain.services import Services
from domain.use_cases.model_catalog import store_catalog
from infra.catalog import read_catalog
from tests.clients import Api
from tests.finetuning import create_finetune, new_dataset, new_project

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("own_base_models")]

OURS = read_catalog()
ENTRY = replace(TINY, id=id_of("acme/small"), model_id="acme/small", name="Small", source=ModelSource.CATALOG)


async def stored(services: Services, model_id: str = "acme/small") -> BaseModel | None:
    async with services.transactions.read() as store:
        return await store.base_models.by_model_id(model_id)


async def migrate(services: Services, *entries: BaseModel) -> None:
    """Store our catalog with further entries, as `luthier migrate` does."""
    async with services.transactions.begin() as store:
        await store_catalog(store, (*OURS, *entries))


async def test_an_entry_is_updated_and_what_the_worker_recorded_stays(services: Services) -> None:
    await migrate(services, ENTRY)
    recorded: dict[str, Any] = {
        "revision": "c1",
        "sha256": "5e",
        "size_bytes": 9,
        "last_used_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    async with services.transactions.begin() as store:
        await store.base_models.put(replace(ENTRY, **recorded))
    await migrate(services, replace(ENTRY, name="Renamed"))
    assert await stored(services) == replace(ENTRY, name="Renamed", **recorded)


async def test_an_entry_that_is_gone_is_deleted_unless_something_uses_it(
    services: Services, api: Api
) -> None:
    with_weights = replace(ENTRY, id=id_of("acme/stored"), model_id="acme/stored", sha256="5e")
    trained = replace(ENTRY, id=id_of("acme/trained"), model_id="acme/trained")
    chosen = replace(ENTRY, id=id_of("acme/chosen"), model_id="acme/chosen")
    resolved = replace(ENTRY, id=id_of("acme/hub"), model_id="acme/hub", source=ModelSource.HUGGING_FACE)
    await migrate(services, ENTRY, with_weights, trained, chosen)
    async with services.transactions.begin() as store:
        await store.base_models.put(with_weights)
        await store.base_models.put(resolved)
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    await create_finetune(api, project_id, dataset_id, baseModelName="acme/trained")
    await api.mutate("updateProject", "project { id }", id=project_id, baseModelId=chosen.id)
    await migrate(services)
    assert await stored(services) is None
    for kept in (with_weights, trained, chosen):
        model = await stored(services, kept.model_id)
        assert model is not None
        assert (model.valid, model.warnings) == (False, (REMOVED,))
    assert await stored(services, "acme/hub") == resolved
    query = "query($id: ID!) { project(id: $id) { baseModel { modelId } } }"
    assert (await api.gql(query, id=project_id))["project"]["baseModel"] == {"modelId": "acme/chosen"}
    await migrate(services, trained)
    assert await stored(services, "acme/trained") == trained


async def test_a_model_of_the_hub_that_becomes_an_entry_keeps_its_id(services: Services) -> None:
    found = replace(
        ENTRY, id=id_of("acme/other"), source=ModelSource.HUGGING_FACE, name="small", revision="c1"
    )
    async with services.transactions.begin() as store:
        await store.base_models.put(found)
    await migrate(services, ENTRY)
    assert await stored(services) == replace(ENTRY, id=found.id, revision="c1")


async def test_storing_the_same_catalog_again_changes_nothing(services: Services) -> None:
    async with services.transactions.begin() as store:
        before = await store.base_models.lock_catalog()
    await migrate(services)
    async with services.transactions.begin() as store:
        after = await store.base_models.lock_catalog()
    assert sorted(before, key=lambda model: model.id) == sorted(after, key=lambda model: model.id)
