"""Deployments, with a runtime that loads nothing."""

import pytest

from domain.deployments import ModelCapability
from domain.jobs import Superseded
from domain.services import Services
from domain.use_cases import deployments
from tests.clients import Api
from tests.conftest import Worker
from tests.fakes.runtime import FakeRuntime
from tests.finetuning import new_project, trained_finetune
from tests.jobs import start_job, started_between

pytestmark = pytest.mark.anyio

DEPLOYMENT = "deployment(id: $id) { status error job { status result } }"


async def shown(api: Api, id: str) -> dict[str, object]:
    return dict((await api.gql(f"query($id: ID!) {{ {DEPLOYMENT} }}", id=id))["deployment"])


async def test_a_model_that_answers_the_test_prompt_is_ready(
    api: Api, services: Services, worker: Worker, runtime: FakeRuntime
) -> None:
    made = await trained_finetune(services, api, worker)
    arguments = {"projectId": made["project_id"], "finetuneId": made["id"]}
    deployed = await api.mutate("createDeployment", "deployment { id status }", **arguments)
    assert deployed["deployment"]["status"] == "STARTING"
    await worker.drain()
    assert await shown(api, deployed["deployment"]["id"]) == {
        "status": "READY",
        "error": None,
        "job": {
            "status": "SUCCESS",
            "result": {"model_name": "luthier/tiny_capitals_v1", "prompt_tokens": 1},
        },
    }
    (model,) = runtime.loaded
    assert not isinstance(model, str)
    assert model.model_id == made["id"]
    assert model.s3_key == f"finetunes/{made['id']}/luthier_tiny_capitals_v1.gguf"
    assert model.size_bytes == 15


@pytest.mark.parametrize(
    ("capabilities", "shown_capabilities", "line"),
    [
        (
            {ModelCapability.STRUCTURED_OUTPUT, ModelCapability.TOOLS},
            ["TOOLS", "STRUCTURED_OUTPUT"],
            "Capabilities of the model: TOOLS, STRUCTURED_OUTPUT.",
        ),
        (set(), [], "Capabilities of the model: none."),
        (None, None, "The model server does not say what the model can do."),
    ],
)
async def test_what_a_model_can_do_is_shown_once_it_is_loaded(
    api: Api,
    worker: Worker,
    runtime: FakeRuntime,
    capabilities: set[ModelCapability] | None,
    shown_capabilities: list[str] | None,
    line: str,
) -> None:
    runtime.capabilities = None if capabilities is None else frozenset(capabilities)
    made = await api.mutate(
        "createDeployment",
        "deployment { id capabilities }",
        projectId=await new_project(api),
        modelName="llama3",
    )
    assert made["deployment"]["capabilities"] is None
    await worker.drain()
    selection = (
        "deployment(id: $id) { status capabilities job { events { nodes { ... on LogEvent { line } } } } }"
    )
    deployment = (await api.gql(f"query($id: ID!) {{ {selection} }}", id=made["deployment"]["id"]))[
        "deployment"
    ]
    assert (deployment["status"], deployment["capabilities"]) == ("READY", shown_capabilities)
    assert {"line": line} in deployment["job"]["events"]["nodes"]


async def test_the_capabilities_of_listed_deployments_are_read(
    api: Api, worker: Worker, runtime: FakeRuntime
) -> None:
    runtime.capabilities = frozenset({ModelCapability.TOOLS})
    await api.mutate(
        "createDeployment", "deployment { id }", projectId=await new_project(api), modelName="llama3"
    )
    await worker.drain()
    listed = await api.gql("{ deployments { nodes { capabilities } } }")
    assert listed["deployments"]["nodes"] == [{"capabilities": ["TOOLS"]}]


async def test_a_superseded_worker_records_no_capabilities(api: Api, services: Services) -> None:
    made = await api.mutate(
        "createDeployment",
        "deployment { id } job { id }",
        projectId=await new_project(api),
        modelName="llama3",
    )
    job = await start_job(services, made["job"]["id"])
    await start_job(services, job.id)
    with pytest.raises(Superseded):
        async with services.transactions.begin() as store:
            await deployments.record_capabilities(store, job, {ModelCapability.TOOLS})
    selection = "deployment(id: $id) { capabilities }"
    found = await api.gql(f"query($id: ID!) {{ {selection} }}", id=made["deployment"]["id"])
    assert found["deployment"]["capabilities"] is None


async def test_a_model_of_the_runtimes_own_is_asked_for_by_its_name(
    api: Api, worker: Worker, runtime: FakeRuntime
) -> None:
    project_id = await new_project(api)
    made = await api.mutate("createDeployment", "deployment { id }", projectId=project_id, modelName="llama3")
    await worker.drain()
    assert runtime.loaded == ["llama3"]
    assert (await shown(api, made["deployment"]["id"]))["status"] == "READY"


async def test_a_model_that_cannot_be_loaded_fails_its_deployment_with_the_reason(
    api: Api, worker: Worker, runtime: FakeRuntime
) -> None:
    runtime.error = "The file is damaged."
    project_id = await new_project(api)
    made = await api.mutate("createDeployment", "deployment { id }", projectId=project_id, modelName="llama3")
    await worker.drain()
    assert await shown(api, made["deployment"]["id"]) == {
        "status": "FAILED",
        "error": "The file is damaged.",
        "job": {"status": "FAILED", "result": None},
    }


async def test_a_deployment_that_was_deleted_is_not_loaded_any_more(
    api: Api, worker: Worker, runtime: FakeRuntime
) -> None:
    project_id = await new_project(api)
    made = await api.mutate(
        "createDeployment", "deployment { id } job { id }", projectId=project_id, modelName="llama3"
    )
    await api.mutate("deleteDeployment", "deletedId", id=made["deployment"]["id"])
    await worker.drain()
    assert runtime.loaded == []
    job = await api.gql("query($id: ID!) { job(id: $id) { status subject { id } } }", id=made["job"]["id"])
    assert job["job"] == {"status": "CANCELLED", "subject": None}


async def test_a_deployment_that_is_begun_while_it_is_deleted_is_not_loaded_either(
    api: Api, services: Services, worker: Worker, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_id = await new_project(api)
    made = await api.mutate(
        "createDeployment", "deployment { id } job { id }", projectId=project_id, modelName="llama3"
    )
    async with services.transactions.begin() as store:
        started_between(store, services, monkeypatch)
        await deployments.delete(store, made["deployment"]["id"], viewer_id=api.user_id)
    job = await api.gql("query($id: ID!) { job(id: $id) { status attempts } }", id=made["job"]["id"])
    assert job["job"] == {"status": "CANCELLED", "attempts": 1}
    await worker.drain()
    assert runtime.loaded == []
