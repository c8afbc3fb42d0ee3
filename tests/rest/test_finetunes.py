"""Downloads of the artifacts of fine-tunes."""

import hashlib
import io
import json
import zipfile

import httpx
import pytest

from domain.services import Services
from tests.clients import Api
from tests.conftest import Worker
from tests.finetuning import create_finetune, new_dataset, new_project, trained_finetune

pytestmark = pytest.mark.anyio

MODEL = b"GGUF, or nearly"
FILENAME = "luthier_tiny_capitals_v1.gguf"


def path_of(made: dict[str, str]) -> str:
    return f"/api/projects/{made['project_id']}/finetunes/{made['id']}"


async def test_the_model_is_downloaded_whole_or_in_part(api: Api, services: Services, worker: Worker) -> None:
    path = path_of(await trained_finetune(services, api, worker)) + "/download"
    whole = await api.rest.get(path)
    assert (whole.status_code, whole.content) == (200, MODEL)
    assert whole.headers["content-length"] == str(len(MODEL))
    assert FILENAME in whole.headers["content-disposition"]
    assert hashlib.sha256(MODEL).hexdigest() in whole.headers["etag"]
    part = await api.rest.get(path, headers={"range": "bytes=6-7", "if-range": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, b"or")
    assert part.headers["content-range"] == f"bytes 6-7/{len(MODEL)}"
    same = await api.rest.get(path, headers={"if-none-match": whole.headers["etag"]})
    assert same.status_code == 304


async def test_each_file_is_downloaded_by_its_name(api: Api, services: Services, worker: Worker) -> None:
    made = await trained_finetune(services, api, worker)
    config = await api.rest.get(f"{path_of(made)}/artifacts/training_config.json")
    assert (config.status_code, config.json()) == (200, {})
    assert config.headers["content-type"].startswith("application/json")
    assert (await api.rest.get(f"{path_of(made)}/artifacts/{FILENAME}")).content == MODEL
    for name in ("nothing.json", "..%2F..%2Fsecrets", "training_config.json%00"):
        response = await api.rest.get(f"{path_of(made)}/artifacts/{name}")
        assert response.status_code == 404


async def test_all_files_come_as_one_archive(api: Api, services: Services, worker: Worker) -> None:
    made = await trained_finetune(services, api, worker)
    for name in ("artifacts.zip", "artifacts/artifacts.zip"):
        response = await api.rest.get(f"{path_of(made)}/{name}")
        assert (response.status_code, response.headers["content-type"]) == (200, "application/zip")
        assert 'filename="luthier_tiny_capitals_v1.zip"' in response.headers["content-disposition"]
        with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
            assert archive.testzip() is None
            assert {name: archive.read(name) for name in archive.namelist()} == {
                FILENAME: MODEL,
                "training_config.json": json.dumps({}).encode(),
            }


async def test_what_is_not_there_yet_is_not_ready(api: Api, services: Services) -> None:
    project_id = await new_project(api)
    made = await create_finetune(api, project_id, await new_dataset(services, api, project_id))
    path = path_of({"project_id": project_id, "id": made["finetune"]["id"]})
    for name in ("download", "artifacts.zip"):
        response = await api.rest.get(f"{path}/{name}")
        assert (response.status_code, response.json()["error_code"]) == (409, "NOT_READY")
    assert (await api.rest.get(f"{path}/artifacts/model.gguf")).status_code == 404


async def test_a_ticket_opens_one_path_for_a_browser(
    api: Api, services: Services, worker: Worker, anonymous: httpx.AsyncClient
) -> None:
    path = path_of(await trained_finetune(services, api, worker))
    ticket, _ = services.tokens.ticket(api.user_id, f"{path}/download")
    assert (await anonymous.get(f"{path}/download", params={"ticket": ticket})).content == MODEL
    assert (await anonymous.get(f"{path}/artifacts.zip", params={"ticket": ticket})).status_code == 401


async def test_anothers_files_are_not_found_and_nobodys_need_a_token(
    api: Api, services: Services, worker: Worker, anonymous: httpx.AsyncClient
) -> None:
    made = await trained_finetune(services, api, worker)
    elsewhere = await new_project(api, "elsewhere")
    for name in ("download", "artifacts.zip", "artifacts/training_config.json"):
        for client, path, status, reason in (
            (anonymous, path_of(made), 401, "UNAUTHENTICATED"),
            (api.other.rest, path_of(made), 404, "FINETUNE_NOT_FOUND"),
            (api.rest, path_of(made | {"project_id": elsewhere}), 404, "FINETUNE_NOT_FOUND"),
            (api.rest, path_of(made | {"id": "garbage"}), 404, "FINETUNE_NOT_FOUND"),
        ):
            response = await client.get(f"{path}/{name}")
            assert (response.status_code, response.json()["error_code"]) == (status, reason)
