"""Projects over GraphQL."""

import asyncio
from typing import Any

import pytest

from tests.clients import Api

pytestmark = pytest.mark.anyio

PROJECT = """id name description taskType status stage createdAt updatedAt owner { id }
  config { numExamplesTarget maxSeqLength trainEvalSplit }
  baseModel { id } trainingDataset { id } finetune { id }
  stats { documentCount chunkCount itemCount datasetCount finetuneCount deploymentCount lastJobStatus }"""
PAGE = """query($first: Int, $after: String, $last: Int, $before: String, $filter: ProjectFilter) {
  projects(first: $first, after: $after, last: $last, before: $before, filter: $filter) {
    nodes { name } edges { cursor } totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


async def create(api: Api, **given: Any) -> dict[str, Any]:
    return dict((await api.mutate("createProject", f"project {{ {PROJECT} }}", **given))["project"])


async def names(api: Api, **variables: Any) -> list[str]:
    return [node["name"] for node in (await api.gql(PAGE, **variables))["projects"]["nodes"]]


async def test_a_new_project_is_active_empty_and_the_viewers(api: Api) -> None:
    project = await create(api, name=" Capitals ")
    assert project["id"].startswith("prj_")
    assert project | {"id": "", "createdAt": "", "updatedAt": ""} == {
        "id": "", "createdAt": "", "updatedAt": "",
        "name": "Capitals", "description": None, "taskType": "INSTRUCTION", "status": "ACTIVE", "stage": "DRAFT",
        "owner": {"id": api.user_id},
        "config": {"numExamplesTarget": 2000, "maxSeqLength": 2048, "trainEvalSplit": 0.9},
        "baseModel": None, "trainingDataset": None, "finetune": None,
        "stats": {
            "documentCount": 0, "chunkCount": 0, "itemCount": 0, "datasetCount": 0, "finetuneCount": 0,
            "deploymentCount": 0, "lastJobStatus": None,
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": " "}, ["name"]),
        ({"name": "x" * 201}, ["name"]),
        ({"name": "a\0b"}, ["name"]),
        ({"name": "a", "config": {"trainEvalSplit": 0}}, ["config", "trainEvalSplit"]),
        ({"name": "a", "config": {"trainEvalSplit": 1.1}}, ["config", "trainEvalSplit"]),
        ({"name": "a", "config": {"numExamplesTarget": 0}}, ["config", "numExamplesTarget"]),
    ],
)
async def test_a_wrong_value_is_refused_with_its_field(
    api: Api, given: dict[str, Any], field: list[str]
) -> None:
    error = await api.refused("createProject", **given)
    assert (error["code"], error["field"]) == ("INVALID", field)
    assert await names(api) == []


async def test_an_update_changes_what_is_given_and_merges_the_config(api: Api) -> None:
    project = await create(api, name="a", description="b", config={"numExamplesTarget": 5})
    changed = await api.mutate(
        "updateProject",
        "project { name description config { numExamplesTarget maxSeqLength } }",
        id=project["id"], description=None, config={"maxSeqLength": 512},
    )  # fmt: skip
    assert changed["project"] == {
        "name": "a", "description": None, "config": {"numExamplesTarget": 5, "maxSeqLength": 512},
    }  # fmt: skip


async def test_an_update_that_changes_nothing_is_refused(api: Api) -> None:
    project = await create(api, name="a")
    for given in ({}, {"name": "a"}):
        assert (await api.refused("updateProject", id=project["id"], **given))[
            "reason"
        ] == "NOTHING_TO_CHANGE"


async def test_a_required_value_cannot_be_cleared(api: Api) -> None:
    project = await create(api, name="a")
    error = await api.refused("updateProject", id=project["id"], name=None)
    assert (error["reason"], error["field"]) == ("REQUIRED", ["name"])


async def test_projects_come_newest_first_in_pages_both_ways(api: Api) -> None:
    for number in range(5):
        await create(api, name=f"p{number}")
    first = (await api.gql(PAGE, first=2))["projects"]
    assert [node["name"] for node in first["nodes"]] == ["p4", "p3"]
    assert first["totalCount"] == 5
    assert first["pageInfo"] | {"startCursor": "", "endCursor": ""} == {
        "hasNextPage": True, "hasPreviousPage": False, "startCursor": "", "endCursor": "",
    }  # fmt: skip
    assert await names(api, first=2, after=first["pageInfo"]["endCursor"]) == ["p2", "p1"]
    last = (await api.gql(PAGE, last=2))["projects"]
    assert [node["name"] for node in last["nodes"]] == ["p1", "p0"]
    assert await names(api, last=2, before=last["pageInfo"]["startCursor"]) == ["p3", "p2"]


@pytest.mark.parametrize(
    "variables",
    [
        {"first": 0},
        {"first": 101},
        {"first": -1},
        {"first": 1, "last": 1},
        {"after": "garbage"},
        {"after": "WzFd"},
    ],
)
async def test_invalid_page_arguments_are_refused(api: Api, variables: dict[str, Any]) -> None:
    body = await api.raw(PAGE, **variables)
    assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_USER_INPUT"]


async def test_a_list_is_filtered_by_status_name_and_stage(api: Api) -> None:
    await create(api, name="Alpha 100%")
    archived = await create(api, name="Beta")
    await api.mutate("updateProject", "project { id }", id=archived["id"], status="ARCHIVED")
    assert await names(api, filter={"status": "ARCHIVED"}) == ["Beta"]
    assert await names(api, filter={"nameContains": "100%"}) == ["Alpha 100%"]
    assert await names(api, filter={"nameContains": "lpha%0"}) == []
    assert await names(api, filter={"stage": "DRAFT"}) == ["Beta", "Alpha 100%"]
    assert await names(api, filter={"stage": "TRAINED"}) == []


async def test_a_deleted_project_is_not_found(api: Api) -> None:
    project = await create(api, name="a")
    assert (await api.mutate("deleteProject", "deletedId", id=project["id"]))["deletedId"] == project["id"]
    query = "query($id: ID!) { project(id: $id) { id } node(id: $id) { id } }"
    assert await api.gql(query, id=project["id"]) == {"project": None, "node": None}
    assert (await api.refused("deleteProject", id=project["id"]))["code"] == "NOT_FOUND"


async def test_another_users_project_is_not_found(api: Api) -> None:
    project = await create(api, name="a")
    query = "query($id: ID!) { project(id: $id) { id } node(id: $id) { id } nodes(ids: [$id]) { id } }"
    for id in (project["id"], "prj_00000000000000000000000000", "garbage", ""):
        assert await api.other.gql(query, id=id) == {"project": None, "node": None, "nodes": [None]}
        assert (await api.other.refused("updateProject", id=id, name="b"))["code"] == "NOT_FOUND"
        assert (await api.other.refused("deleteProject", id=id))["code"] == "NOT_FOUND"
    assert await names(api.other) == []
    assert await names(api) == ["a"]


async def test_a_replayed_creation_returns_the_same_project(api: Api) -> None:
    calls = [create(api, name="a", idempotencyKey="k") for _ in range(4)]
    assert len({project["id"] for project in await asyncio.gather(*calls)}) == 1
    assert await names(api) == ["a"]
    error = await api.refused("createProject", name="b", idempotencyKey="k")
    assert (error["code"], error["reason"]) == ("CONFLICT", "IDEMPOTENCY_KEY_REUSED")
    assert await api.other.mutate("createProject", "project { id }", name="b", idempotencyKey="k")


async def test_a_chosen_dataset_must_belong_to_the_project(api: Api) -> None:
    project, elsewhere = await create(api, name="a"), await create(api, name="b")
    made = await api.mutate(
        "createDataset", "dataset { id }",
        projectId=elsewhere["id"], inputField="q", outputField="a", fieldNames=["q", "a"],
    )  # fmt: skip
    dataset_id = made["dataset"]["id"]
    error = await api.refused("updateProject", id=project["id"], trainingDatasetId=dataset_id)
    assert (error["code"], error["field"]) == ("NOT_FOUND", ["trainingDatasetId"])
    chosen = await api.mutate(
        "updateProject",
        "project { trainingDataset { id } }",
        id=elsewhere["id"],
        trainingDatasetId=dataset_id,
    )
    assert chosen["project"]["trainingDataset"] == {"id": dataset_id}


async def test_a_base_model_can_be_chosen_and_cleared(api: Api) -> None:
    model = (await api.gql("{ baseModels(first: 1) { nodes { id } } }"))["baseModels"]["nodes"][0]
    project = await create(api, name="a")
    chosen = await api.mutate(
        "updateProject", "project { baseModel { id } }", id=project["id"], baseModelId=model["id"]
    )
    assert chosen["project"]["baseModel"] == model
    cleared = await api.mutate(
        "updateProject", "project { baseModel { id } }", id=project["id"], baseModelId=None
    )
    assert cleared["project"]["baseModel"] is None
