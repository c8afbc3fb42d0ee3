"""Deployments and request logs over GraphQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import ids
from domain.ids import Noun
from domain.request_logs import RequestLog
from domain.services import Services
from tests.clients import Api
from tests.conftest import Worker
from tests.fakes.runtime import FakeRuntime
from tests.finetuning import TINY, create_finetune, new_dataset, new_project, trained_finetune

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SHOWN = """id modelName status error baseUrl logsDownloadUrl project { id } finetune { id } job { id type }
  apiKeys { nodes { id name prefix } } logs { nodes { id } }"""
LOGS = """query($id: ID!, $filter: LogFilter, $first: Int, $after: String) { deployment(id: $id) {
  logs(filter: $filter, first: $first, after: $after) {
    nodes { input } totalCount pageInfo { endCursor } } } }"""


async def deploy(api: Api, project_id: str, selection: str = "id", **given: Any) -> dict[str, Any]:
    made = await api.mutate(
        "createDeployment", f"deployment {{ {selection} }} job {{ id }} apiKey", projectId=project_id, **given
    )
    return {**made["deployment"], "secret": made["apiKey"], "new_job": made["job"]}


async def log(services: Services, deployment_id: str, input: str, **given: Any) -> RequestLog:
    made = RequestLog(
        id=ids.new(Noun.REQUEST_LOG), deployment_id=deployment_id, input=input,
        **({"api_key_id": None, "date": NOON, "endpoint": "chat/completions", "status": 200, "latency_ms": 5.0} | given),
    )  # fmt: skip
    async with services.transactions.begin() as store:
        await store.request_logs.add_many([made])
    return made


async def test_a_deployment_shows_its_base_url_and_model_name(
    api: Api, services: Services, worker: Worker
) -> None:
    tuned = await trained_finetune(services, api, worker)
    made = await deploy(api, tuned["project_id"], SHOWN, finetuneId=tuned["id"])
    (key,) = made["apiKeys"]["nodes"]
    assert made["secret"].startswith(key["prefix"])
    assert made | {"secret": "", "apiKeys": ""} == {
        "id": made["id"], "modelName": "luthier/tiny_capitals_v1", "status": "STARTING", "error": None,
        "baseUrl": f"http://luthier.test/public/{tuned['project_id']}",
        "logsDownloadUrl": f"/api/projects/{tuned['project_id']}/deployments/{made['id']}/logs_download",
        "project": {"id": tuned["project_id"]}, "finetune": {"id": tuned["id"]},
        "job": made["new_job"] | {"type": "DEPLOY"}, "new_job": made["new_job"],
        "logs": {"nodes": []}, "secret": "", "apiKeys": "",
    }  # fmt: skip


async def test_a_fine_tune_is_found_by_its_model_name_and_may_be_given_another(
    api: Api, services: Services, worker: Worker
) -> None:
    tuned = await trained_finetune(services, api, worker)
    by_name = await deploy(api, tuned["project_id"], "finetune { id }", modelName="luthier/tiny_capitals_v1")
    assert by_name["finetune"] == {"id": tuned["id"]}
    renamed = await deploy(
        api, tuned["project_id"], "modelName finetune { id }", modelName="mine", finetuneId=tuned["id"]
    )
    assert (renamed["modelName"], renamed["finetune"]) == ("mine", {"id": tuned["id"]})
    own = await deploy(api, tuned["project_id"], "modelName finetune { id }", modelName="llama3")
    assert (own["modelName"], own["finetune"]) == ("llama3", None)


async def test_the_longest_project_name_can_be_deployed(api: Api, services: Services, worker: Worker) -> None:
    tuned = await trained_finetune(services, api, worker, "ü" * 200)
    made = await deploy(api, tuned["project_id"], "modelName", finetuneId=tuned["id"])
    assert made["modelName"] == tuned["modelName"]


async def test_a_model_name_is_unique_in_a_project(api: Api) -> None:
    here, there = await new_project(api, "here"), await new_project(api, "there")
    first = await deploy(api, here, modelName="llama3")
    error = await api.refused("createDeployment", projectId=here, modelName="llama3")
    assert (error["code"], error["reason"], error["field"]) == ("CONFLICT", "MODEL_NAME_TAKEN", ["modelName"])
    assert (
        error["message"]
        == "The project already has a deployment of 'llama3'; delete it first, even if it FAILED."
    )
    await deploy(api, there, modelName="llama3")
    await api.mutate("deleteDeployment", "deletedId", id=first["id"])
    await deploy(api, here, modelName="llama3")


async def test_of_concurrent_deployments_with_one_name_one_is_created(api: Api) -> None:
    project_id = await new_project(api)
    given = {"projectId": project_id, "modelName": "llama3"}
    payloads = await asyncio.gather(*(api.attempt("createDeployment", "apiKey", **given) for _ in range(4)))
    refused = [payload["userErrors"][0]["reason"] for payload in payloads if payload["userErrors"]]
    assert refused == ["MODEL_NAME_TAKEN"] * 3
    assert (await api.gql("{ apiKeys { totalCount } }"))["apiKeys"]["totalCount"] == 1


async def test_of_a_concurrent_deployment_and_deletion_of_a_fine_tune_one_succeeds(
    api: Api, services: Services, worker: Worker
) -> None:
    tuned = await trained_finetune(services, api, worker)
    given = {"id": tuned["project_id"], "finetuneId": tuned["id"]}
    await api.mutate("updateProject", "project { id }", **given)  # deleting it will change the project too
    deployed, deleted = await asyncio.gather(
        api.attempt("createDeployment", "", projectId=tuned["project_id"], finetuneId=tuned["id"]),
        api.attempt("deleteFinetune", "", id=tuned["id"]),
    )
    reasons = [payload["userErrors"][0]["reason"] for payload in (deployed, deleted) if payload["userErrors"]]
    assert reasons in (["FINETUNE_NOT_FOUND"], ["FINETUNE_DEPLOYED"])


async def test_a_fine_tune_without_a_model_cannot_be_deployed(
    api: Api, services: Services, worker: Worker
) -> None:
    project_id = await new_project(api)
    assert (await api.refused("createDeployment", projectId=project_id))["reason"] == "REQUIRED"
    error = await api.refused("createDeployment", projectId=project_id, modelName=" ")
    assert (error["code"], error["field"]) == ("INVALID", ["modelName"])
    planned = await create_finetune(api, project_id, await new_dataset(services, api, project_id))
    for given in ({"finetuneId": planned["finetune"]["id"]}, {"modelName": f"{TINY}_capitals_v1"}):
        error = await api.refused("createDeployment", projectId=project_id, **given)
        assert (error["code"], error["reason"]) == ("CONFLICT", "NOT_READY")
    await api.mutate("cancelFinetune", "finetune { id }", id=planned["finetune"]["id"])
    elsewhere = await trained_finetune(services, api, worker, "elsewhere")
    error = await api.refused("createDeployment", projectId=project_id, finetuneId=elsewhere["id"])
    assert (error["code"], error["reason"]) == ("NOT_FOUND", "FINETUNE_NOT_FOUND")


@pytest.mark.parametrize("spelled", ["{}", " {} ", "{}:latest"])
async def test_the_id_of_a_fine_tune_is_no_model_name(
    api: Api, services: Services, worker: Worker, spelled: str
) -> None:
    tuned = await trained_finetune(services, api.other, worker)
    for id in (tuned["id"], tuned["id"].upper()):
        name = spelled.format(id)
        error = await api.refused("createDeployment", projectId=await new_project(api), modelName=name)
        assert (error["code"], error["reason"]) == ("NOT_FOUND", "FINETUNE_NOT_FOUND")


async def test_a_replayed_deployment_is_returned_without_its_secret(api: Api) -> None:
    project_id = await new_project(api)
    first, second = [await deploy(api, project_id, modelName="llama3", idempotencyKey="k") for _ in range(2)]
    assert first["secret"]
    assert second == first | {"secret": None}


async def test_a_model_is_unloaded_when_the_last_deployment_of_it_is_deleted(
    api: Api, services: Services, worker: Worker, runtime: FakeRuntime
) -> None:
    tuned = await trained_finetune(services, api, worker)
    made = [
        await deploy(api, tuned["project_id"], finetuneId=tuned["id"], modelName=name) for name in ("a", "b")
    ]
    await worker.drain()
    await api.mutate("deleteDeployment", "deletedId", id=made[0]["id"])
    await worker.drain()
    assert runtime.removed == []
    await api.mutate("deleteDeployment", "deletedId", id=made[1]["id"])
    await worker.drain()
    assert runtime.removed == [tuned["id"]]
    assert (await api.gql("{ apiKeys { totalCount } }"))["apiKeys"]["totalCount"] == 0


async def test_deployments_are_listed_over_every_project_and_by_status(api: Api, worker: Worker) -> None:
    ready = await deploy(api, await new_project(api), modelName="one")
    await worker.drain()
    starting = await deploy(api, await new_project(api), modelName="two")
    query = "query($status: DeploymentStatus) { deployments(status: $status) { nodes { id } } }"

    async def listed(**variables: Any) -> list[str]:
        return [node["id"] for node in (await api.gql(query, **variables))["deployments"]["nodes"]]

    assert await listed() == [starting["id"], ready["id"]]
    assert await listed(status="READY") == [ready["id"]]
    assert await listed(status="STOPPED") == []


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["last", "100% sure", "first"]),
    ({"since": "2026-01-01T12:01:00Z"}, ["last", "100% sure"]),
    ({"until": "2026-01-01T12:01:00Z"}, ["first"]),
    ({"since": "2026-01-01T12:01:00Z", "until": "2026-01-01T12:02:00Z"}, ["100% sure"]),
    ({"search": "SURE"}, ["100% sure"]),
    ({"search": "an answer"}, ["first"]),
    ({"search": "0%"}, ["100% sure"]),
    ({"search": "f_rst"}, []),
    ({"status": 500}, ["last"]),
    ({"apiKeyId": "garbage"}, []),
    ({"apiKeyId": None, "status": None}, ["last", "100% sure", "first"]),
]


async def test_logs_are_filtered_newest_first(api: Api, services: Services) -> None:
    made = await deploy(api, await new_project(api), modelName="llama3")
    await log(services, made["id"], "first", output="An Answer")
    await log(services, made["id"], "100% sure", date=NOON + timedelta(minutes=1))
    await log(services, made["id"], "last", date=NOON + timedelta(minutes=2), status=500)
    for filter, found in FILTERS:
        logs = (await api.gql(LOGS, id=made["id"], filter=filter))["deployment"]["logs"]
        assert [node["input"] for node in logs["nodes"]] == found, filter
        assert logs["totalCount"] == len(found), filter


async def test_logs_of_one_key_and_page_by_page(api: Api, services: Services) -> None:
    made = await deploy(api, await new_project(api), "id apiKeys { nodes { id } }", modelName="llama3")
    key_id = made["apiKeys"]["nodes"][0]["id"]
    for number in range(3):
        await log(services, made["id"], f"asked {number}", api_key_id=key_id)
    await log(services, made["id"], "asked by nobody")
    given = {"id": made["id"], "filter": {"apiKeyId": key_id}, "first": 2}
    first = (await api.gql(LOGS, **given))["deployment"]["logs"]
    assert [node["input"] for node in first["nodes"]] == ["asked 2", "asked 1"]
    rest = await api.gql(LOGS, **given, after=first["pageInfo"]["endCursor"])
    assert [node["input"] for node in rest["deployment"]["logs"]["nodes"]] == ["asked 0"]


async def test_a_log_shows_the_request_and_the_response(api: Api, services: Services) -> None:
    made = await deploy(api, await new_project(api), "id apiKeys { nodes { id } }", modelName="llama3")
    key_id = made["apiKeys"]["nodes"][0]["id"]
    kept = await log(
        services, made["id"], "hi", api_key_id=key_id, messages=[{"role": "user", "content": "hi"}],
        output="hello", prompt_tokens=3, completion_tokens=1, time_to_first_token_ms=2.5, streamed=True,
        finish="stop", error="none really",
    )  # fmt: skip
    query = """query($id: ID!) { node(id: $id) { ... on RequestLog {
      date endpoint input messages output status error promptTokens completionTokens latencyMs
      timeToFirstTokenMs streamed finish apiKey { id } } } }"""
    assert (await api.gql(query, id=kept.id))["node"] == {
        "date": NOON.isoformat(), "endpoint": "chat/completions", "input": "hi",
        "messages": [{"role": "user", "content": "hi"}], "output": "hello", "status": 200,
        "error": "none really", "promptTokens": 3, "completionTokens": 1, "latencyMs": 5.0,
        "timeToFirstTokenMs": 2.5, "streamed": True, "finish": "stop", "apiKey": {"id": key_id},
    }  # fmt: skip
    assert await api.other.gql(query, id=kept.id) == {"node": None}


async def test_another_users_deployment_is_not_found(api: Api) -> None:
    project_id = await new_project(api)
    made = await deploy(api, project_id, modelName="llama3")
    query = "query($id: ID!) { deployment(id: $id) { id } node(id: $id) { id } }"
    for id in (made["id"], "dep_00000000000000000000000000", "garbage", ""):
        assert await api.other.gql(query, id=id) == {"deployment": None, "node": None}
        for name, given in (
            ("deleteDeployment", {"id": id}),
            ("createApiKey", {"deploymentId": id, "name": "mine"}),
        ):
            error = await api.other.refused(name, **given)
            assert (error["reason"], error["field"]) == ("DEPLOYMENT_NOT_FOUND", [next(iter(given))])
    error = await api.other.refused("createDeployment", projectId=project_id, modelName="other")
    assert error["reason"] == "PROJECT_NOT_FOUND"
    listed = await api.other.gql("{ deployments { totalCount } apiKeys { totalCount } }")
    assert listed == {"deployments": {"totalCount": 0}, "apiKeys": {"totalCount": 0}}
