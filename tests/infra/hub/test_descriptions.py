"""What is read of a hub's models, and what is not."""

import json
from typing import Any

import pytest

from domain.errors import DomainError, Invalid, Unavailable
from domain.ports.model_hub import HubFile, HubModel, weight_files
from infra.hub import HuggingFaceHub
from tests.fakes.hub import TOKEN, FakeHub
from tests.hub_models import PARAMETERS, add_model

pytestmark = pytest.mark.anyio


async def describe(hub: FakeHub, model_id: str = "acme/small", *, token: str | None = None) -> HubModel:
    return await HuggingFaceHub(hub.url + "/", token, timeout_s=1.0, deadline_s=2.0).describe(model_id)


def safetensors(tensors: dict[str, Any]) -> bytes:
    """A safetensors file whose tensors have no data."""
    header = json.dumps(tensors | {"__metadata__": {"format": "pt"}}).encode()
    return len(header).to_bytes(8, "little") + header


async def test_a_model_is_described_at_one_commit(hub: FakeHub) -> None:
    repository = add_model(hub)
    found = await describe(hub)
    assert (found.model_id, found.revision, found.has_code) == ("acme/small", repository.revision, False)
    assert (found.num_parameters, found.size_bytes, found.license) == (PARAMETERS, 7, "mit")
    assert found.config is not None
    assert found.config["architectures"] == ["LlamaForCausalLM"]
    assert HubFile("model.safetensors", 7) in found.files
    paths = [request.path for request in hub.requests]
    assert paths == [
        "/api/models/acme/small/revision/main?blobs=true",
        f"/acme/small/resolve/{repository.revision}/config.json",
        f"/acme/small/resolve/{repository.revision}/tokenizer_config.json",
    ]


async def test_a_name_without_an_organization_is_described(hub: FakeHub) -> None:
    add_model(hub, "gpt2")
    assert (await describe(hub, "gpt2")).model_id == "gpt2"


@pytest.mark.parametrize("token", [None, TOKEN])
async def test_the_token_of_the_settings_is_sent_and_no_other(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_environment")
    add_model(hub)
    await describe(hub, token=token)
    assert {request.token for request in hub.requests} == {token}


async def test_parameters_are_counted_by_the_index_of_sharded_weights(hub: FakeHub) -> None:
    index = {"metadata": {"total_size": 28_000_000}, "weight_map": {}}
    files = {"model.safetensors.index.json": index, "model-00001-of-00001.safetensors": b"weights"}
    add_model(hub, safetensors=None, files=files | {"model.safetensors": None})
    assert (await describe(hub)).num_parameters == 14_000_000
    add_model(hub, safetensors=None, config={"dtype": "float32"}, files=files)
    assert (await describe(hub)).num_parameters == 7_000_000
    index["metadata"]["total_parameters"] = 5
    add_model(hub, safetensors=None, files=files)
    assert (await describe(hub)).num_parameters == 5


async def test_parameters_are_counted_by_the_header_of_a_weights_file(hub: FakeHub) -> None:
    tensors = {
        "a": {"dtype": "BF16", "shape": [3, 4], "data_offsets": [0, 24]},
        "b": {"shape": [], "dtype": "F32"},
    }
    add_model(hub, safetensors=None, files={"model.safetensors": safetensors(tensors)})
    assert (await describe(hub)).num_parameters == 13
    assert next(request.range for request in hub.requests if request.range) == "bytes=0-7"


@pytest.mark.parametrize(
    "header", [b"\xff" * 8 + b"{}", (10).to_bytes(8, "little") + b"no JSON at", b"short"]
)
async def test_a_damaged_header_is_not_believed(hub: FakeHub, header: bytes) -> None:
    add_model(hub, safetensors=None, files={"model.safetensors": header})
    assert (await describe(hub)).num_parameters == len(header) // 2


async def test_weights_on_another_host_are_counted_by_their_size(hub: FakeHub) -> None:
    hub.redirects["model.safetensors"] = "http://cdn.test/weights"
    add_model(hub, safetensors=None, files={"model.safetensors": b"0123456789"})
    assert (await describe(hub)).num_parameters == 5


async def test_facts_on_another_host_are_not_read(hub: FakeHub) -> None:
    add_model(hub)
    for location in (
        "http://169.254.169.254/latest",
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "//elsewhere.test/",
    ):
        hub.redirects["config.json"] = location
        with pytest.raises(Unavailable, match=r"another host|does not answer"):
            await describe(hub)


async def test_redirects_on_the_host_are_followed_and_circles_are_not(hub: FakeHub) -> None:
    repository = add_model(hub)
    hub.redirects[f"{repository.revision}/config.json"] = (
        f"/acme/small/resolve/{repository.revision}/tokenizer.json"
    )
    assert (await describe(hub)).config == {}
    hub.redirects["tokenizer.json"] = f"/acme/small/resolve/{repository.revision}/config.json"
    with pytest.raises(Unavailable, match="circle"):
        await describe(hub)


@pytest.mark.parametrize(
    "info",
    [{"sha": "main"}, {"sha": None}, {"id": "../x"}, {"id": 5}, {"siblings": 5}, {"siblings": [{}]}, {"siblings": [{"rfilename": "a", "size": -1}]}],
)  # fmt: skip
async def test_an_answer_that_describes_no_model_is_a_fault_of_the_hub(
    hub: FakeHub, info: dict[str, Any]
) -> None:
    add_model(hub, **info)
    with pytest.raises(Unavailable, match="no description"):
        await describe(hub)


async def test_a_description_that_is_too_long_is_not_read(hub: FakeHub) -> None:
    add_model(hub, tags=["x" * 1000] * 8000)
    with pytest.raises(Unavailable, match="more than is read"):
        await describe(hub)


async def test_the_license_of_a_card_is_its_name_where_it_is_an_own_one(hub: FakeHub) -> None:
    add_model(hub, cardData={"license": "other", "license_name": "qwen-research"})
    assert (await describe(hub)).license == "qwen-research"
    add_model(hub, cardData={"license": "other"})
    assert (await describe(hub)).license == "other"
    add_model(hub, cardData=None)
    assert (await describe(hub)).license is None


@pytest.mark.parametrize("status", [400, 403, 404, 418])
async def test_other_errors_are_the_domains(hub: FakeHub, status: int) -> None:
    add_model(hub)
    hub.status = status
    with pytest.raises(DomainError) as refused:
        await describe(hub)
    reasons = {403: "MODEL_FORBIDDEN", 404: "MODEL_NOT_FOUND"}
    assert refused.value.reason == reasons.get(status, "HUB_UNAVAILABLE")


async def test_a_malformed_name_is_refused_before_any_request(hub: FakeHub) -> None:
    with pytest.raises(Invalid):
        await describe(hub, "../../admin")
    assert hub.requests == []


def test_weights_are_the_files_that_are_fetched() -> None:
    names = (
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "consolidated.safetensors",
        "onnx/model.safetensors",
    )
    files = [HubFile(name, 1) for name in names]
    assert weight_files(files) == files[:2]


@pytest.mark.parametrize("number", [-1, 2**63, 2**64 - 1])
async def test_a_number_that_no_model_has_is_not_believed(hub: FakeHub, number: int) -> None:
    index = {"metadata": {"total_parameters": number, "total_size": number}}
    files = {"model.safetensors.index.json": index, "model-00001-of-00001.safetensors": b"weights"}
    add_model(hub, files=files | {"model.safetensors": None}, safetensors=None)
    assert (await describe(hub)).num_parameters == 7 // 2


@pytest.mark.parametrize("shape", [[2**63 - 1] * 200_000, [-5], [2**40, 2**40], ["9" * 4_000], [1e308]])
async def test_a_header_whose_tensors_no_file_can_have_is_not_believed(
    hub: FakeHub, shape: list[Any]
) -> None:
    content = safetensors({"a": {"shape": shape}})
    add_model(hub, files={"model.safetensors": content}, safetensors=None)
    assert (await describe(hub)).num_parameters is None


async def test_a_license_can_be_stored(hub: FakeHub) -> None:
    add_model(hub, cardData={"license": "mi\0t"})
    assert (await describe(hub)).license == "mi\ufffdt"


@pytest.mark.parametrize("location", ["http://[", "http://x:99999999/", "javascript:x"])
async def test_a_redirect_to_no_address_is_a_fault_of_the_hub(hub: FakeHub, location: str) -> None:
    add_model(hub)
    hub.redirects = {"main": location}
    with pytest.raises(Unavailable):
        await describe(hub)
