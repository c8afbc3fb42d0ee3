"""The model of an external training: which file it is, what is refused at DONE, and that it is found everywhere."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import ids
from domain.base_models import TINY, ModelType
from domain.ids import Noun
from domain.ports.model_runtime import ModelFile
from domain.ports.storage import StoredObject
from domain.services import Services
from infra.db.tables import base_models, finetunes
from tests.clients import Api
from tests.conftest import Worker
from tests.external import KEY, put_object, report_status
from tests.fakes.runtime import FakeRuntime
from tests.finetuning import create_finetune, fetch_finetune, new_dataset, new_project

pytestmark = pytest.mark.anyio

MODEL, OTHER = b"GGUF, or nearly", b"GGUF, another"
NAMED = "luthier_tiny_capitals_v1.gguf"
VIDEO = replace(
    TINY,
    id=ids.new(Noun.BASE_MODEL),
    model_id="some/video",
    name="Some video model",
    model_type=ModelType.VIDEO_CAPTIONING,
)


@pytest.fixture
def services(services: Services) -> Services:
    """The services, with a key for external workers."""
    return replace(services, external_api_key=KEY["x-api-key"])


@pytest.fixture
async def video(services: Services, database: AsyncEngine) -> AsyncIterator[str]:
    """A base model for video; its name."""
    async with services.transactions.begin() as store:
        await store.base_models.put(VIDEO)
    yield VIDEO.model_id
    async with database.begin() as connection:
        await connection.execute(update(finetunes).values(base_model_id=None))
        await connection.execute(delete(base_models).where(base_models.c.id == VIDEO.id))


async def new_finetune(api: Api, services: Services, **values: Any) -> tuple[str, str]:
    """A project, and a fine-tune in it that waits for an external worker."""
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    made = await create_finetune(api, project_id, dataset_id, runner="EXTERNAL", **values)
    return project_id, str(made["finetune"]["id"])


async def put_files(services: Services, id: str, files: str) -> None:
    """Put files of these names under the prefix of a fine-tune: a GGUF each, the last ones unlike the first."""
    for number, name in enumerate(files.split()):
        await put_object(services, f"finetunes/{id}/{name}", OTHER if number else MODEL)


def reported(files: str) -> dict[str, Any]:
    """A result with files, each as `name:KIND`."""
    pairs = [file.split(":") for file in files.split()]
    return {
        "model_quantization": "q8_0",
        "artifacts": [
            {"filename": name, "kind": kind, "sha256": hashlib.sha256(MODEL).hexdigest()}
            for name, kind in pairs
        ],
    }


async def refusal(client: httpx.AsyncClient, id: str, files: str) -> tuple[int, str, str]:
    """The status, the code and the sentence of the answer to DONE."""
    response = await report_status(client, id, "DONE", result=reported(files))
    body = response.json()
    return response.status_code, body["error_code"], body["detail"]


@pytest.mark.parametrize(
    ("stored", "files", "model"),
    [
        (NAMED, "", NAMED),
        (f"{NAMED} other.gguf", f"{NAMED}:GGUF other.gguf:GGUF", NAMED),
        (f"{NAMED} other.gguf", "other.gguf:GGUF", NAMED),
        ("model.gguf", "model.gguf:GGUF", "model.gguf"),
        ("model.gguf config.json", "config.json:CONFIG", "model.gguf"),
        ("model.gguf lora.gguf", "lora.gguf:ADAPTER", "model.gguf"),
        ("model.gguf checkpoints/step-1.gguf", "", "model.gguf"),
    ],
)
async def test_the_model_is_downloaded_deployed_and_served_whatever_its_name(
    api: Api,
    anonymous: httpx.AsyncClient,
    services: Services,
    worker: Worker,
    runtime: FakeRuntime,
    stored: str,
    files: str,
    model: str,
) -> None:
    project_id, id = await new_finetune(api, services)
    await put_files(services, id, stored)
    response = await report_status(anonymous, id, "DONE", result=reported(files))
    assert (response.status_code, response.json()) == (200, {"id": id, "status": "DONE"})

    shown = await fetch_finetune(
        api, id, "outputPath downloadUrl artifacts { filename kind quantization sha256 }"
    )
    assert shown["outputPath"] == f"{services.storage.uri}/finetunes/{id}/{model}"
    digest = hashlib.sha256(MODEL).hexdigest()
    (artifact,) = (artifact for artifact in shown["artifacts"] if artifact["filename"] == model)
    assert artifact == {"filename": model, "kind": "GGUF", "quantization": "q8_0", "sha256": digest}
    download = await api.rest.get(shown["downloadUrl"])
    assert (download.status_code, download.content) == (200, MODEL)
    assert model in download.headers["content-disposition"]

    made = await api.mutate("createDeployment", "deployment { id }", projectId=project_id, finetuneId=id)
    await worker.drain()
    deployment = await api.gql(
        "query($id: ID!) { deployment(id: $id) { status } }", id=made["deployment"]["id"]
    )
    assert deployment["deployment"] == {"status": "READY"}
    expected = ModelFile(model_id=id, s3_key=f"finetunes/{id}/{model}", size_bytes=len(MODEL), sha256=digest)
    assert runtime.loaded == [expected]
    runtime.invalidate(id)
    await api.mutate("complete", "completion", finetuneId=id, prompt="Hello")
    assert runtime.loaded == [expected] * 2


async def test_a_text_model_is_not_done_without_a_gguf(
    api: Api, anonymous: httpx.AsyncClient, services: Services
) -> None:
    _, id = await new_finetune(api, services)
    await put_files(services, id, "adapter.safetensors checkpoints/step-1.gguf")
    await put_object(services, f"finetune/{id}/{NAMED}", MODEL)
    for files in ("", "adapter.safetensors:ADAPTER"):
        assert await refusal(anonymous, id, files) == (
            422,
            "GGUF_MISSING",
            (
                "No GGUF was reported, and none is in storage; "
                f"put the model at {services.storage.uri}/finetunes/{id}/{NAMED} before DONE is reported."
            ),
        )
    assert await fetch_finetune(api, id, "status artifacts { filename }") == {
        "status": "PLANNING",
        "artifacts": [],
    }
    await put_files(services, id, NAMED)
    assert (await report_status(anonymous, id, "DONE")).status_code == 200


@pytest.mark.parametrize(
    ("stored", "files", "code", "detail"),
    [
        (
            "a.gguf b.gguf", "", "GGUF_AMBIGUOUS",
            f"There are 2 GGUFs, and none is named {NAMED}: give the model that name. They are a.gguf, b.gguf.",
        ),
        (
            "a.gguf b.gguf", "a.gguf:GGUF", "GGUF_AMBIGUOUS",
            f"There are 2 GGUFs, and none is named {NAMED}: give the model that name. They are a.gguf, b.gguf.",
        ),
        (
            "f.gguf e.gguf d.gguf c.gguf b.gguf a.gguf", "", "GGUF_AMBIGUOUS",
            (f"There are 6 GGUFs, and none is named {NAMED}: give the model that name. "
            "They are a.gguf, b.gguf, c.gguf, d.gguf, e.gguf, …"),
        ),
        ("a.gguf", "a.gguf:GGUF a.gguf:GGUF", "UNPROCESSABLE", "The file a.gguf is reported 2 times."),
        (NAMED, f"{NAMED}:MERGED", "UNPROCESSABLE", f"The file {NAMED} is the model; report it with the kind GGUF."),
    ],
)  # fmt: skip
async def test_an_unclear_model_is_422(
    api: Api,
    anonymous: httpx.AsyncClient,
    services: Services,
    stored: str,
    files: str,
    code: str,
    detail: str,
) -> None:
    _, id = await new_finetune(api, services)
    await put_files(services, id, stored)
    assert await refusal(anonymous, id, files) == (422, code, detail)
    assert await fetch_finetune(api, id, "status") == {"status": "PLANNING"}


async def test_a_model_whose_name_is_no_file_name_is_422(
    api: Api, anonymous: httpx.AsyncClient, services: Services
) -> None:
    _, id = await new_finetune(api, services)
    await put_object(services, f"finetunes/{id}/my model.gguf", MODEL)
    assert (await refusal(anonymous, id, ""))[1:] == (
        "UNPROCESSABLE",
        "The model is at my model.gguf; its file name may have letters, digits and ._- only.",
    )


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 a zip"])
@pytest.mark.parametrize("files", ["", f"{NAMED}:GGUF"])
async def test_a_model_that_is_not_a_gguf_is_422(
    api: Api, anonymous: httpx.AsyncClient, services: Services, content: bytes, files: str
) -> None:
    _, id = await new_finetune(api, services)
    await put_object(services, f"finetunes/{id}/{NAMED}", content)
    assert await refusal(anonymous, id, files) == (
        422,
        "GGUF_INVALID",
        f"The file {NAMED} is not a GGUF: it does not begin with the bytes GGUF.",
    )


@pytest.mark.parametrize("content", [OTHER, None])
@pytest.mark.parametrize("files", ["", f"{NAMED}:GGUF"])
async def test_a_model_that_is_replaced_while_it_is_read_is_409(
    api: Api,
    anonymous: httpx.AsyncClient,
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
    files: str,
) -> None:
    """Its recorded size and checksum would be those of two files, and no deployment would load it."""
    _, id = await new_finetune(api, services)
    key, keys = f"finetunes/{id}/{NAMED}", services.storage.keys
    await put_object(services, key, MODEL)

    async def keys_before_change(prefix: str) -> list[StoredObject]:
        found = await keys(prefix)
        monkeypatch.setattr(services.storage, "keys", keys)
        await (services.storage.delete(key) if content is None else put_object(services, key, content))
        return found

    monkeypatch.setattr(services.storage, "keys", keys_before_change)
    assert await refusal(anonymous, id, files) == (
        409,
        "RUN_CHANGED",
        f"The file {NAMED} changed while it was read; report DONE again.",
    )


async def test_what_is_not_allowed_is_409_before_storage_is_read(
    api: Api, anonymous: httpx.AsyncClient, services: Services
) -> None:
    project_id = await new_project(api)
    made = await create_finetune(api, project_id, await new_dataset(services, api, project_id))
    response = await report_status(anonymous, made["finetune"]["id"], "DONE")
    assert (response.status_code, response.json()["error_code"]) == (409, "NOT_EXTERNAL")


async def test_a_video_model_needs_no_gguf_and_cannot_be_deployed_or_prompted(
    api: Api, anonymous: httpx.AsyncClient, services: Services, video: str
) -> None:
    project_id, id = await new_finetune(api, services, baseModelName=video)
    await put_files(services, id, "adapter.safetensors projector.gguf")
    result = reported("adapter.safetensors:ADAPTER projector.gguf:GGUF")
    assert (await report_status(anonymous, id, "DONE", result=result)).json()["status"] == "DONE"
    found = await fetch_finetune(api, id, "status artifacts { filename } modelName")
    assert found["artifacts"] == [{"filename": "adapter.safetensors"}, {"filename": "projector.gguf"}]
    errors = [
        await api.refused("createDeployment", projectId=project_id, finetuneId=id),
        await api.refused("createDeployment", projectId=project_id, modelName=found["modelName"]),
        await api.refused("complete", finetuneId=id, prompt="Hello"),
    ]
    sentence = "A fine-tune of a video model cannot be deployed or prompted: the model runtime loads text models only."
    assert [(error["code"], error["reason"], error["message"]) for error in errors] == [
        ("INVALID", "VIDEO_MODEL", sentence)
    ] * 3


async def test_a_base_model_that_is_no_longer_offered_counts_as_a_text_model(
    api: Api, anonymous: httpx.AsyncClient, services: Services, database: AsyncEngine
) -> None:
    _, id = await new_finetune(api, services)
    async with database.begin() as connection:
        await connection.execute(update(finetunes).values(base_model_name="gone", base_model_id=None))
    assert (await refusal(anonymous, id, ""))[1] == "GGUF_MISSING"
    body = json.dumps({"status": "FAILED", "error": "There is no model."})
    url = f"/api/external/finetunes/{id}/update-status"
    assert (await anonymous.put(url, headers=KEY, content=body)).status_code == 200
