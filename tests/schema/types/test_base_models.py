"""Base models over GraphQL, which all users share."""

from dataclasses import replace
from typing import Any

import pytest

from domain.base_models import TINY, id_of
from domain.model_catalog import UNVERIFIED
from domain.services import Services
from infra.catalog import read_catalog
from tests.clients import Api

pytestmark = pytest.mark.anyio

CATALOG = read_catalog()
MODEL = """id modelId name description source modelType baseArchitecture architecture version numParameters
  vocabSize maxPositionEmbeddings license estimatedVramFp16Gb estimatedVram4bitGb valid warnings
  supportedLoraParams { minRank maxRank defaultAlpha targetModules }"""


async def listed(api: Api, **filter: Any) -> set[str]:
    """The names of the models that match a filter."""
    query = """query($filter: BaseModelFilter) {
      baseModels(first: 100, filter: $filter) { nodes { modelId } totalCount } }"""
    found = (await api.gql(query, filter=filter))["baseModels"]
    assert found["totalCount"] == len(found["nodes"])
    return {node["modelId"] for node in found["nodes"]}


async def test_the_catalog_is_listed_by_name_and_is_the_same_for_all(api: Api) -> None:
    query = "{ baseModels(first: 100) { nodes { modelId name } totalCount } }"
    found = await api.gql(query)
    names = sorted(model.name for model in CATALOG)
    assert [node["name"] for node in found["baseModels"]["nodes"]] == names
    assert found["baseModels"]["totalCount"] == len(CATALOG)
    assert await api.other.gql(query) == found


async def test_the_catalog_is_paged(api: Api) -> None:
    query = """query($after: String) {
      baseModels(first: 30, after: $after) { nodes { name } pageInfo { endCursor hasNextPage } } }"""
    names: list[str] = []
    after, has_next = None, True
    while has_next:
        page = (await api.gql(query, after=after))["baseModels"]
        names += [node["name"] for node in page["nodes"]]
        after, has_next = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    assert names == sorted(model.name for model in CATALOG)


async def test_models_are_listed_by_task_and_origin(api: Api) -> None:
    assert await listed(api, source="LOCAL") == {"luthier/tiny"}
    assert await listed(api, source="HUGGING_FACE") == set()
    videos = await listed(api, modelType="VIDEO_CAPTIONING")
    assert videos == {"llava-hf/LLaVA-NeXT-Video-7B-hf", "LanguageBind/Video-LLaVA-7B-hf"}
    assert await listed(api, modelType="VIDEO_CAPTIONING", source="LOCAL") == set()
    assert len(await listed(api, modelType=None, source=None, maxVramGb=None)) == len(CATALOG)


@pytest.mark.parametrize("gigabytes", [-1.0, 0.0, 0.07, 0.25, 4.0, 16.0, 1e30])
async def test_models_are_listed_by_the_4_bit_estimate_that_they_show(api: Api, gigabytes: float) -> None:
    fitting = {
        model.model_id
        for model in CATALOG
        if model.estimated_vram4bit_gb is not None and model.estimated_vram4bit_gb <= gigabytes
    }
    assert await listed(api, maxVramGb=gigabytes) == fitting


async def test_a_filtered_list_is_paged(api: Api) -> None:
    query = """query($filter: BaseModelFilter, $after: String) { baseModels(first: 3, after: $after, filter: $filter) {
      nodes { modelId } pageInfo { endCursor hasNextPage } } }"""
    first = (await api.gql(query, filter={"maxVramGb": 0.2}))["baseModels"]
    assert first["pageInfo"]["hasNextPage"]
    after = first["pageInfo"]["endCursor"]
    second = (await api.gql(query, filter={"maxVramGb": 0.2}, after=after))["baseModels"]
    found = [node["modelId"] for node in first["nodes"] + second["nodes"]]
    assert len(found) == len(set(found)) == 6
    assert set(found) <= await listed(api, maxVramGb=0.2)


async def test_an_unknown_size_matches_no_limit(
    api: Api,
    services: Services,
    own_base_models: None,  # noqa: ARG001
) -> None:
    async with services.transactions.begin() as store:
        await store.base_models.put(
            replace(TINY, id=id_of("acme/some"), model_id="acme/some", num_parameters=None)
        )
    assert "acme/some" in await listed(api, source="LOCAL")
    assert "acme/some" not in await listed(api, maxVramGb=1e30)


async def test_a_model_says_what_it_needs_and_takes(api: Api) -> None:
    small = next(model for model in CATALOG if model.num_parameters == 494_032_768)
    found = await api.gql(f"query($id: ID!) {{ baseModel(id: $id) {{ {MODEL} }} }}", id=small.id)
    assert found["baseModel"] == {
        "id": small.id, "modelId": "Qwen/Qwen2.5-0.5B-Instruct", "name": "Qwen2.5 0.5B Instruct",
        "description": "A small multilingual model.", "source": "CATALOG", "modelType": "TEXT_GENERATION",
        "baseArchitecture": "qwen2", "architecture": "Qwen2ForCausalLM", "version": "2.5",
        "numParameters": 494_032_768, "vocabSize": 151_936, "maxPositionEmbeddings": 32_768,
        "license": "apache-2.0", "estimatedVramFp16Gb": 0.99, "estimatedVram4bitGb": 0.25,
        "valid": True, "warnings": [UNVERIFIED],
        "supportedLoraParams": {
            "minRank": 1, "maxRank": 256, "defaultAlpha": 32, "targetModules": list(small.target_modules),
        },
    }  # fmt: skip


async def test_the_catalog_has_the_local_model(api: Api) -> None:
    query = """query($id: ID!) {
      node(id: $id) { ... on BaseModel { modelId source supportedLoraParams { maxRank } } } }"""
    found = (await api.gql(query, id=TINY.id))["node"]
    assert (found["modelId"], found["source"]) == ("luthier/tiny", "LOCAL")
    assert found["supportedLoraParams"]["maxRank"] >= 64


async def test_an_unknown_model_is_null(api: Api) -> None:
    for id in ("garbage", "", "model_00000000000000000000000000"):
        assert await api.gql("query($id: ID!) { baseModel(id: $id) { id } }", id=id) == {"baseModel": None}
