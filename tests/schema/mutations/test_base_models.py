"""Resolving models of a hub over GraphQL."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.base_models import HubLimits
from domain.services import Services
from infra.hub import HuggingFaceHub
from tests.clients import Api
from tests.fakes.hub import TOKEN, TOKEN_WITHOUT_ACCESS, Access, FakeHub
from tests.finetuning import TINY, create_finetune, new_dataset, new_project
from tests.hub_models import LLAMA, PARAMETERS, add_model

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("own_base_models")]

RESOLVED = """baseModel { id modelId name description source modelType baseArchitecture architecture numParameters
  vocabSize maxPositionEmbeddings license estimatedVramFp16Gb estimatedVram4bitGb valid warnings
  supportedLoraParams { targetModules } }"""
SMOL = "HuggingFaceTB/SmolLM2-360M-Instruct"
FRENCH = "Its French is poor."


@pytest.fixture
def token() -> str | None:
    """The token that the installation has."""
    return None


@pytest.fixture
def hub_limits() -> HubLimits:
    """Which hub models may be tuned."""
    return HubLimits(enabled=True, max_bytes=80_000_000_000)


@pytest.fixture
def services(services: Services, hub: FakeHub, token: str | None, hub_limits: HubLimits) -> Services:
    """The services, which ask the tests' hub."""
    asked = HuggingFaceHub(hub.url, token, timeout_s=1.0, deadline_s=2.0)
    return replace(services, hub=asked, hub_limits=hub_limits)


async def resolve(api: Api, model_id: str = "acme/small", **values: Any) -> dict[str, Any]:
    """The base model of a name."""
    payload = await api.mutate("resolveModel", RESOLVED, modelId=model_id, **values)
    model: dict[str, Any] = payload["baseModel"]
    return model


async def outcome(api: Api, model_id: str = "acme/small", **values: Any) -> tuple[str, str, str]:
    """Code, reason and message of a refusal, which leaves no base model behind."""
    refused = await api.refused("resolveModel", modelId=model_id, **values)
    assert (await listed(api, source="HUGGING_FACE")) == []
    return refused["code"], refused["reason"], refused["message"]


async def listed(api: Api, **filter: Any) -> list[str]:
    query = (
        "query($filter: BaseModelFilter) { baseModels(first: 100, filter: $filter) { nodes { modelId } } }"
    )
    return [node["modelId"] for node in (await api.gql(query, filter=filter))["baseModels"]["nodes"]]


async def test_a_model_of_the_hub_is_described_and_offered_to_all(api: Api, hub: FakeHub) -> None:
    add_model(hub)
    found = await resolve(api)
    assert found == {
        "id": found["id"], "modelId": "acme/small", "name": "small", "description": None, "source": "HUGGING_FACE",
        "modelType": "TEXT_GENERATION", "baseArchitecture": "llama", "architecture": "LlamaForCausalLM",
        "numParameters": PARAMETERS, "vocabSize": 32_000, "maxPositionEmbeddings": 4096, "license": "mit",
        "estimatedVramFp16Gb": 0.01, "estimatedVram4bitGb": 0.0, "valid": True, "warnings": [],
        "supportedLoraParams": {
            "targetModules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        },
    }  # fmt: skip
    assert await listed(api.other, source="HUGGING_FACE") == ["acme/small"]


async def test_a_resolved_model_becomes_the_projects_and_can_be_tuned(
    api: Api, hub: FakeHub, services: Services
) -> None:
    repository = add_model(hub)
    project_id = await new_project(api)
    found = await resolve(api, projectId=project_id)
    project = await api.gql("query($id: ID!) { project(id: $id) { baseModel { id } } }", id=project_id)
    assert project["project"]["baseModel"] == {"id": found["id"]}
    assert await resolve(api, projectId=project_id) == found
    dataset_id = await new_dataset(services, api, project_id)
    made = await create_finetune(api, project_id, dataset_id, baseModelName="acme/small")
    query = "query($id: ID!) { finetune(id: $id) { baseModelName baseModel { id } } }"
    assert (await api.gql(query, id=made["finetune"]["id"]))["finetune"] == {
        "baseModelName": "acme/small",
        "baseModel": {"id": found["id"]},
    }
    async with services.transactions.read() as store:
        stored = await store.base_models.by_model_id("acme/small")
    assert stored is not None
    assert stored.revision == repository.revision


async def test_the_project_is_checked_before_the_hub_is_asked(api: Api, hub: FakeHub) -> None:
    theirs = await new_project(api.other)
    for project_id in (theirs, "prj_00000000000000000000000000", "garbage"):
        code, reason, _ = await outcome(api, projectId=project_id)
        assert (code, reason) == ("NOT_FOUND", "PROJECT_NOT_FOUND")
    archived = await new_project(api)
    await api.mutate("updateProject", "project { id }", id=archived, status="ARCHIVED")
    assert (await outcome(api, projectId=archived))[:2] == ("INVALID", "PROJECT_ARCHIVED")
    assert hub.requests == []


@pytest.mark.parametrize(
    "model_id",
    ["", " ", "a/b/c", "../etc/passwd", "acme/..", "http://127.0.0.1/x", "acme/small?x=1", "acme/small#", "acme//small",
     "acme small", "acmé/small", "-acme/small", "acme/small.git", "acme/a--b", "m" * 97, "acme/%2e%2e", "a\x00b"],
)  # fmt: skip
async def test_a_malformed_name_is_refused_before_the_hub_is_asked(
    api: Api, hub: FakeHub, model_id: str
) -> None:
    code, reason, message = await outcome(api, model_id)
    assert (code, reason) == ("INVALID", "INVALID_MODEL_ID")
    assert "such as Qwen/Qwen2.5-0.5B-Instruct" in message
    assert hub.requests == []


async def test_an_unknown_model_is_not_found(api: Api, hub: FakeHub) -> None:
    code, reason, message = await outcome(api)
    assert (code, reason) == ("NOT_FOUND", "MODEL_NOT_FOUND")
    assert f"{hub.url}/acme/small" in message


@pytest.mark.parametrize("access", [Access.GATED, Access.PRIVATE])
async def test_a_closed_model_says_how_to_get_access(api: Api, hub: FakeHub, access: Access) -> None:
    add_model(hub, access=access)
    code, reason, message = await outcome(api)
    assert (code, reason) == {
        Access.GATED: ("FORBIDDEN", "MODEL_GATED"),
        Access.PRIVATE: ("NOT_FOUND", "MODEL_NOT_FOUND"),
    }[access]
    assert "HF_TOKEN" in message
    assert ("accept its license" in message) is (access is Access.GATED)


@pytest.mark.parametrize("token", [TOKEN_WITHOUT_ACCESS])
async def test_a_token_without_access_is_told_so(api: Api, hub: FakeHub) -> None:
    add_model(hub, access=Access.GATED)
    code, reason, message = await outcome(api)
    assert (code, reason) == ("FORBIDDEN", "MODEL_GATED")
    assert "no access to it yet" in message


@pytest.mark.parametrize("token", ["hf_revoked"])
async def test_a_token_that_the_hub_does_not_know_is_told_so(api: Api, hub: FakeHub) -> None:
    add_model(hub)
    code, reason, message = await outcome(api)
    assert (code, reason) == ("FORBIDDEN", "HUB_TOKEN_REFUSED")
    assert "hf_revoked" not in message


@pytest.mark.parametrize("token", [TOKEN])
async def test_a_token_with_access_resolves_a_gated_model_which_says_what_workers_need(
    api: Api, hub: FakeHub
) -> None:
    add_model(hub, access=Access.GATED)
    assert "HF_TOKEN" in (await resolve(api))["warnings"][0]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_hub_in_trouble_is_unavailable(api: Api, hub: FakeHub, status: int) -> None:
    add_model(hub)
    hub.status = status
    assert (await outcome(api))[:2] == ("UNAVAILABLE", "HUB_UNAVAILABLE")


async def test_a_hub_that_is_away_slow_or_interrupted_is_unavailable(
    api: Api, hub: FakeHub, services: Services
) -> None:
    add_model(hub)
    hub.truncated.add("config.json")
    assert (await outcome(api))[:2] == ("UNAVAILABLE", "HUB_UNAVAILABLE")
    hub.truncated.clear()
    hub.stalled.add("config.json")
    assert (await outcome(api))[:2] == ("UNAVAILABLE", "HUB_UNAVAILABLE")
    hub.released.set()
    vars(services.hub)["_endpoint"] = "http://127.0.0.1:9"
    assert (await outcome(api))[:2] == ("UNAVAILABLE", "HUB_UNAVAILABLE")


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"config": {"auto_map": {"AutoModel": "modeling.M"}}}, "MODEL_HAS_CODE", "never run"),
        ({"files": {"tokenizer_config.json": {"auto_map": {}}}}, "MODEL_HAS_CODE", "never run"),
        ({"files": {"model.safetensors": None, "pytorch_model.bin": b"pickle"}}, "MODEL_WITHOUT_SAFETENSORS", "pickles"),
        ({"files": {"model.safetensors": None}}, "MODEL_WITHOUT_SAFETENSORS", "no model.safetensors"),
        (
            {"files": {"model.safetensors": None, "consolidated.safetensors": b"weights"}},
            "MODEL_WITHOUT_SAFETENSORS",
            "no model.safetensors",
        ),
        (
            {"files": {"config.json": None, "model.safetensors": None, "small-q8_0.gguf": b"GGUF"}},
            "MODEL_WITHOUT_SAFETENSORS",
            "luthier models add FILE.gguf",
        ),
        ({"files": {"config.json": None, "adapter_config.json": {}}}, "MODEL_NOT_CAUSAL", "adapter"),
        ({"files": {"config.json": None, "model_index.json": {}}}, "MODEL_NOT_CAUSAL", "diffusion"),
        ({"files": {"config.json": None}}, "MODEL_WITHOUT_CONFIG", "config.json"),
        ({"files": {"config_sentence_transformers.json": {}}}, "MODEL_NOT_CAUSAL", "embedding"),
        ({"config": {"architectures": ["BertModel"]}}, "MODEL_NOT_CAUSAL", "BertModel"),
        ({"config": {"architectures": ["T5ForConditionalGeneration"]}}, "MODEL_NOT_CAUSAL", "T5"),
        ({"config": {"architectures": None}}, "MODEL_NOT_CAUSAL", "no architecture"),
        ({"config": {"architectures": ["XGLMForCausalLM"]}}, "ARCHITECTURE_UNSUPPORTED", "XGLMForCausalLM"),
        ({"config": {"quantization_config": {"quant_method": "awq"}}}, "MODEL_QUANTIZED", "quantized"),
        ({"safetensors": None, "siblings": [{"rfilename": "config.json"}, {"rfilename": "model.safetensors"}],
          "files": {"model.safetensors": b"?"}}, "MODEL_SIZE_UNKNOWN", "size"),
    ],
)  # fmt: skip
async def test_what_cannot_be_tuned_is_refused_with_a_sentence(
    api: Api, hub: FakeHub, changes: dict[str, Any], reason: str, words: str
) -> None:
    add_model(hub, **changes)
    code, found, message = await outcome(api)
    assert (code, found) == ("INVALID", reason)
    assert words in message
    assert "acme/small" in message


@pytest.mark.parametrize("hub_limits", [HubLimits(enabled=True, max_bytes=3_000_000_000)])
async def test_weights_above_the_limit_are_refused_with_figures(api: Api, hub: FakeHub) -> None:
    files = [{"rfilename": "config.json", "size": 2}]
    files += [
        {"rfilename": f"model-0000{part}-of-00002.safetensors", "size": 2_000_000_000} for part in (1, 2)
    ]
    add_model(hub, siblings=[*files, {"rfilename": "consolidated.safetensors", "size": 4_000_000_000}])
    code, reason, message = await outcome(api)
    assert (code, reason) == ("LIMIT_EXCEEDED", "MODEL_TOO_LARGE")
    assert "are 4.0 GB; at most 3 GB" in message


async def test_a_model_is_resolved_again_at_its_new_commit(
    api: Api, hub: FakeHub, services: Services
) -> None:
    repository = add_model(hub)
    first = await resolve(api)
    async with services.transactions.begin() as store:
        stored = await store.base_models.by_model_id("acme/small")
        assert stored is not None
        await store.base_models.put(replace(stored, sha256="5e", size_bytes=7))
    assert await resolve(api) == first
    async with services.transactions.read() as store:
        unchanged = await store.base_models.by_model_id("acme/small")
    assert unchanged == replace(stored, sha256="5e", size_bytes=7)
    files = repository.commits[repository.revision]
    repository.commit(files | {"config.json": b'{"architectures": ["Qwen3ForCausalLM"], "vocab_size": 5}'})
    second = await resolve(api)
    assert (second["id"], second["architecture"], second["vocabSize"]) == (first["id"], "Qwen3ForCausalLM", 5)
    async with services.transactions.read() as store:
        changed = await store.base_models.by_model_id("acme/small")
    assert changed is not None
    assert (changed.revision, changed.sha256, changed.size_bytes) == (repository.revision, None, None)


async def test_a_model_that_a_training_uses_stays_as_it_is(
    api: Api, hub: FakeHub, services: Services
) -> None:
    repository = add_model(hub)
    first = await resolve(api)
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    await create_finetune(api, project_id, dataset_id, baseModelName="acme/small")
    repository.commit(
        repository.commits[repository.revision] | {"config.json": b'{"architectures": ["Qwen3ForCausalLM"]}'}
    )
    assert await resolve(api) == first


async def test_two_resolutions_at_once_make_one_model(api: Api, hub: FakeHub) -> None:
    add_model(hub)
    found = await asyncio.gather(*(resolve(client) for client in (api, api.other, api, api.other)))
    assert len({model["id"] for model in found}) == 1
    assert await listed(api, source="HUGGING_FACE") == ["acme/small"]


async def test_resolving_an_entry_of_the_catalog_verifies_its_facts(api: Api, hub: FakeHub) -> None:
    add_model(hub, SMOL, config={"vocab_size": 49_000})
    before = (await api.gql("{ baseModels(first: 100) { nodes { modelId warnings } } }"))["baseModels"][
        "nodes"
    ]
    [unverified] = next(node["warnings"] for node in before if node["modelId"] == SMOL)
    assert "`resolveModel`" in unverified
    found = await resolve(api, SMOL)
    assert (found["source"], found["name"], found["vocabSize"]) == (
        "CATALOG",
        "SmolLM2 360M Instruct",
        49_000,
    )
    assert (found["numParameters"], found["license"], found["warnings"]) == (PARAMETERS, "mit", [])


async def test_the_name_of_a_moved_repository_is_the_new_one(api: Api, hub: FakeHub) -> None:
    add_model(hub, "acme/new")
    hub.redirects["api/models/acme/old/revision/main"] = "/api/models/acme/new/revision/main?blobs=true"
    assert (await resolve(api, "acme/old"))["modelId"] == "acme/new"


async def test_the_text_model_of_a_model_of_images_is_described(api: Api, hub: FakeHub) -> None:
    language = {"vocab_size": 262_208, "max_position_embeddings": 131_072}
    whole = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "text_config": language,
    }
    add_model(hub, files={"config.json": whole})
    found = await resolve(api)
    assert (found["baseArchitecture"], found["vocabSize"], found["maxPositionEmbeddings"]) == (
        "gemma3",
        262_208,
        131_072,
    )


async def test_a_fused_architecture_has_its_own_target_modules(api: Api, hub: FakeHub) -> None:
    add_model(hub, config={"architectures": ["Phi3ForCausalLM"]})
    modules = (await resolve(api))["supportedLoraParams"]["targetModules"]
    assert modules == ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]


async def test_a_hostile_configuration_has_no_facts(api: Api, hub: FakeHub) -> None:
    hostile = {"vocab_size": 10**30, "max_position_embeddings": -1, "n_positions": "many", "text_config": [1]}
    add_model(hub, config=hostile, cardData={"license": ["mit"]})
    found = await resolve(api)
    assert (found["vocabSize"], found["maxPositionEmbeddings"], found["license"]) == (None, None, None)


@pytest.mark.parametrize(
    "config",
    [b"{" + b" " * 1_000_000 + b"}", b"[" * 100_000, b"[]", b"\xff", b'{"a": 1' + b"0" * 5000 + b"}x"],
)
async def test_a_configuration_that_is_huge_or_no_object_is_refused(
    api: Api, hub: FakeHub, config: bytes
) -> None:
    add_model(hub, files={"config.json": config})
    assert (await outcome(api))[:2] == ("UNAVAILABLE", "HUB_UNAVAILABLE")


async def test_luthiers_own_model_is_resolved_without_a_hub(api: Api, hub: FakeHub) -> None:
    project_id = await new_project(api)
    found = await resolve(api, TINY, projectId=project_id)
    assert (found["source"], found["modelId"]) == ("LOCAL", TINY)
    assert hub.requests == []


@pytest.mark.parametrize("hub_limits", [HubLimits(enabled=False, max_bytes=80_000_000_000)])
async def test_without_hub_models_the_catalog_remains(api: Api, hub: FakeHub) -> None:
    add_model(hub)
    code, reason, message = await outcome(api)
    assert (code, reason) == ("FORBIDDEN", "HUB_MODELS_OFF")
    assert "HUB_MODELS=off" in message
    assert (await resolve(api, SMOL))["source"] == "CATALOG"
    assert hub.requests == []


async def test_a_video_model_can_be_trained_by_external_workers_alone(
    api: Api, hub: FakeHub, services: Services
) -> None:
    add_model(hub, config=LLAMA | {"architectures": ["VideoMAEForVideoClassification"]})
    found = await resolve(api)
    assert (found["modelType"], found["valid"]) == ("VIDEO_CLASSIFICATION", True)
    assert "external workers" in found["warnings"][0]
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    input = {"projectId": project_id, "trainingDatasetId": dataset_id, "baseModelName": "acme/small"}
    refused = await api.refused("createFinetune", **input)
    assert (refused["code"], refused["reason"], refused["field"]) == ("INVALID", "VIDEO_MODEL", ["runner"])
    await api.mutate("createFinetune", "finetune { id }", runner="EXTERNAL", **input)


async def test_a_model_that_is_not_valid_cannot_be_tuned_and_says_why(
    api: Api, services: Services, hub: FakeHub
) -> None:
    add_model(hub)
    await resolve(api)
    async with services.transactions.begin() as store:
        stored = await store.base_models.by_model_id("acme/small")
        assert stored is not None
        await store.base_models.put(replace(stored, valid=False, warnings=(FRENCH,)))
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    refused = await api.refused(
        "createFinetune", projectId=project_id, trainingDatasetId=dataset_id, baseModelName="acme/small"
    )
    assert (refused["reason"], refused["field"]) == ("BASE_MODEL_NOT_VALID", ["baseModelName"])
    assert refused["message"].endswith(FRENCH)


async def test_no_transaction_is_open_while_the_hub_is_asked(
    api: Api, hub: FakeHub, database: AsyncEngine
) -> None:
    add_model(hub)
    hub.stalled.add("config.json")
    resolving = asyncio.create_task(resolve(api, projectId=await new_project(api)))
    assert await asyncio.to_thread(hub.waiting.wait, 10)
    async with database.connect() as connection:
        opened = "select count(*) from pg_stat_activity where state = 'idle in transaction'"
        assert await connection.scalar(text(opened)) == 0
    hub.released.set()
    assert (await resolving)["modelId"] == "acme/small"
