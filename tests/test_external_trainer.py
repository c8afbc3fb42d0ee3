"""A program of the user's own trains as an external worker, and its model is deployed and asked."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.wiring import Wiring
from domain.services import Services
from infra.completions import OpenAICompletions
from infra.runtime._loaded_models import LoadedModels
from infra.runtime.embedded import EmbeddedRuntime
from infra.runtime.server import app
from infra.training.tiny import ensure_model
from tests.clients import Api
from tests.conftest import Worker
from tests.external import KEY, report_status
from tests.finetuning import CAPITALS, create_finetune, fetch_finetune, new_dataset, new_project
from tests.infra.runtime.tiny import write_model
from tests.judges.gguf import assert_healthy
from tests.rest.gateway_fakes import serving
from tests.source_tree import ROOT

pytestmark = pytest.mark.anyio

TRAINER = ROOT / "examples" / "external_trainer.py"


@pytest.fixture
async def runtime(wiring: Wiring, tmp_path: Path) -> AsyncIterator[EmbeddedRuntime]:
    """The embedded runtime, with llama.cpp."""
    models = LoadedModels(wiring.services.storage, tmp_path / "loaded", 2)
    async with serving(app(models, "a token")) as url:
        embedded = EmbeddedRuntime(url, "a token")
        yield embedded
        await models.close()
        await embedded.aclose()


@pytest.fixture
async def services(services: Services) -> AsyncIterator[Services]:
    """The services, with a real client of models and a key for external workers."""
    completions = OpenAICompletions()
    yield replace(services, completions=completions, external_api_key=KEY["x-api-key"])
    await completions.aclose()


@dataclass
class TrainerProgram:
    """The example's program, as a process of its own."""

    url: str
    token: str
    base_model: Path

    async def run(self, *arguments: str) -> tuple[int | None, str]:
        """The exit code and stderr."""
        own = {
            "LUTHIER_URL": self.url,
            "TOKEN": self.token,
            "APP_EXTERNAL_API_KEY": KEY["x-api-key"],
            "BASE_MODEL": str(self.base_model),
            "OMP_NUM_THREADS": "1",  # threads would wait for each other on a machine that is busy with other tests
        }
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, TRAINER, *arguments, cwd=self.base_model, env=environ | own,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, stderr = await process.communicate()
        return process.returncode, stderr.decode()


@pytest.fixture
async def program(api: Api, live: str, tmp_path: Path) -> TrainerProgram:
    """The program, with the base model's folder."""
    return TrainerProgram(live, api.token, await asyncio.to_thread(ensure_model, tmp_path / "models"))


async def deployed(api: Api, worker: Worker, project_id: str, finetune_id: str, name: str) -> dict[str, Any]:
    """A deployment after its job has ended, with its key."""
    made = await api.mutate(
        "createDeployment",
        "deployment { id } apiKey",
        projectId=project_id,
        finetuneId=finetune_id,
        modelName=name,
    )
    await worker.drain()
    found = await api.gql(
        "query($id: ID!) { deployment(id: $id) { status error } }", id=made["deployment"]["id"]
    )
    return {**found["deployment"], "key": made["apiKey"]}


@pytest.mark.timeout(180)
async def test_a_model_of_an_external_trainer_is_deployed_and_answers(
    api: Api,
    services: Services,
    worker: Worker,
    wiring: Wiring,
    runtime: EmbeddedRuntime,
    program: TrainerProgram,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    made = await create_finetune(
        api, project_id, dataset_id, runner="EXTERNAL", hyperparameters={"numEpochs": 25.0}
    )
    id = made["finetune"]["id"]

    code, stderr = await program.run()

    assert code == 0, stderr
    fields = """status error progress metrics { step totalSteps trainLoss } history { totalCount }
      artifacts { kind filename } inferenceSamples { expected tunedOutput }"""
    found = await fetch_finetune(api, id, fields)
    [artifact] = found["artifacts"]
    assert (found["status"], found["progress"], artifact["kind"]) == ("DONE", 1.0, "GGUF")
    gguf = tmp_path / artifact["filename"]
    gguf.write_bytes(b"".join([part async for part in services.storage.read(f"finetunes/{id}/{gguf.name}")]))
    assert_healthy(gguf, program.base_model)
    assert (found["metrics"]["step"], found["history"]["totalCount"]) == (25, 25)
    assert found["metrics"]["trainLoss"] < 0.5
    assert [sample["tunedOutput"] for sample in found["inferenceSamples"]] == [text for _, text in CAPITALS]

    deployment = await deployed(api, worker, project_id, id, "capitals")
    assert (deployment["status"], deployment["error"]) == ("READY", None)
    monkeypatch.setattr(wiring.gateway, "_runtime", runtime)
    body = {"model": "capitals", "messages": [{"role": "user", "content": CAPITALS[0][0]}], "temperature": 0}
    async with httpx.AsyncClient(base_url=program.url, timeout=60) as client:
        response = await client.post(
            f"/public/{project_id}/chat/completions",
            json=body,
            headers={"authorization": f"Bearer {deployment['key']}"},
        )
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"].strip() == CAPITALS[0][1]


@pytest.mark.timeout(180)
async def test_a_trainer_that_fails_reports_why(
    api: Api, services: Services, program: TrainerProgram
) -> None:
    project_id = await new_project(api)
    made = await create_finetune(
        api, project_id, await new_dataset(services, api, project_id), runner="EXTERNAL"
    )
    program.base_model = program.base_model.parent  # which has no model in it

    code, _ = await program.run(made["finetune"]["id"])

    assert code == 1
    found = await fetch_finetune(api, made["finetune"]["id"], "status error")
    assert (found["status"], found["error"].partition(":")[0]) == ("FAILED", "ValueError")


async def test_a_wrong_checksum_fails_the_deployment_with_a_sentence(
    api: Api, services: Services, worker: Worker, anonymous: httpx.AsyncClient, tmp_path: Path
) -> None:
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    id = (await create_finetune(api, project_id, dataset_id, runner="EXTERNAL"))["finetune"]["id"]
    path = write_model(tmp_path / "model.gguf")
    await services.storage.upload(f"finetunes/{id}/model.gguf", path, "application/octet-stream")
    files = [{"filename": "model.gguf", "kind": "GGUF", "sha256": "0" * 64}]
    assert (await report_status(anonymous, id, "DONE", result={"artifacts": files})).status_code == 200

    deployment = await deployed(api, worker, project_id, id, "capitals")

    assert (deployment["status"], deployment["error"]) == (
        "FAILED",
        "The model's file in storage is damaged: its SHA-256 is not the one recorded.",
    )
