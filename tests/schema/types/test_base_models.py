"""Base models over GraphQL, which all users share."""

import pytest

from domain.base_models import CATALOG, TINY
from tests.clients import Api

pytestmark = pytest.mark.anyio

MODEL = """id modelId name description source modelType baseArchitecture architecture version numParameters
  vocabSize maxPositionEmbeddings license estimatedVramFp16Gb estimatedVram4bitGb valid warnings
  supportedLoraParams { minRank maxRank defaultAlpha targetModules }"""


async def test_the_catalog_is_listed_by_name_and_is_the_same_for_all(api: Api) -> None:
    query = "{ baseModels { nodes { modelId name } totalCount } }"
    found = await api.gql(query)
    names = sorted(model.name for model in CATALOG)
    assert [node["name"] for node in found["baseModels"]["nodes"]] == names
    assert found["baseModels"]["totalCount"] == len(CATALOG)
    assert await api.other.gql(query) == found


async def test_the_catalog_is_paged(api: Api) -> None:
    query = """query($after: String) {
      baseModels(first: 3, after: $after) { nodes { name } pageInfo { endCursor hasNextPage } } }"""
    first = (await api.gql(query))["baseModels"]
    assert first["pageInfo"]["hasNextPage"]
    rest = (await api.gql(query, after=first["pageInfo"]["endCursor"]))["baseModels"]
    assert len(first["nodes"]) == 3
    assert len(first["nodes"] + rest["nodes"]) == len(CATALOG)


async def test_a_model_says_what_it_needs_and_takes(api: Api) -> None:
    small = next(model for model in CATALOG if model.num_parameters == 494_032_768)
    found = await api.gql(f"query($id: ID!) {{ baseModel(id: $id) {{ {MODEL} }} }}", id=small.id)
    assert found["baseModel"] == {
        "id": small.id, "modelId": "Qwen/Qwen2.5-0.5B-Instruct", "name": "Qwen2.5 0.5B Instruct",
        "description": "A small multilingual model.", "source": "CATALOG", "modelType": "TEXT_GENERATION",
        "baseArchitecture": "qwen2", "architecture": "Qwen2ForCausalLM", "version": "2.5",
        "numParameters": 494_032_768, "vocabSize": 151_936, "maxPositionEmbeddings": 32_768,
        "license": "apache-2.0", "estimatedVramFp16Gb": 0.99, "estimatedVram4bitGb": 0.25,
        "valid": True, "warnings": [],
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
