"""Datasets over GraphQL: what is made, changed, listed and deleted."""

from typing import Any

import pytest

from domain.services import Services
from tests.clients import Api
from tests.conftest import Worker
from tests.finetuning import create_finetune
from tests.importing import CAPITALS, QA, fetch_dataset, import_file, imported_dataset, new_qa_dataset, upload
from tests.jobs import new_project, start_job

pytestmark = pytest.mark.anyio

PLAIN = """version name description status error origin fileCount totalSizeBytes generatePrompt promptHistory { prompt }
  inputField outputField fieldNames jsonObjectFields expectedOutputSizeChars languageIso corpusName
  generateExamplesNumber generateModel generateModelRunner generationTimeSeconds contentHash job { id }
  stats { total avgTokenCount bySplit { split } problems { code } } dataItemsSample
  items { totalCount } documents { totalCount } finetunes { totalCount } project { id }"""
EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


async def test_a_new_dataset_has_its_projects_name_and_nothing_else(api: Api) -> None:
    project_id = await new_project(api, "Capitals")
    dataset = await fetch_dataset(api, await new_qa_dataset(api, project_id), PLAIN)
    assert dataset == {
        "version": 1, "name": "Capitals", "description": None, "status": "PLANNING", "error": None,
        "origin": "UPLOADED", "fileCount": 0, "totalSizeBytes": 0, "generatePrompt": None, "promptHistory": [],
        "inputField": "question", "outputField": "answer", "fieldNames": ["question", "answer"],
        "jsonObjectFields": None, "expectedOutputSizeChars": None, "languageIso": "eng", "corpusName": None,
        "generateExamplesNumber": None, "generateModel": None, "generateModelRunner": None,
        "generationTimeSeconds": None, "contentHash": EMPTY_HASH, "job": None,
        "stats": {"total": 0, "avgTokenCount": None, "bySplit": [], "problems": []}, "dataItemsSample": [],
        "items": {"totalCount": 0}, "documents": {"totalCount": 0}, "finetunes": {"totalCount": 0},
        "project": {"id": project_id},
    }  # fmt: skip


async def test_a_dataset_stores_every_given_field(api: Api) -> None:
    given: dict[str, Any] = {
        "name": "Questions", "description": "d", "corpusName": "eurlex", "languageIso": "deu",
        "generatePrompt": "Ask.", "jsonObjectFields": {"question": "What is asked."},
        "expectedOutputSizeChars": 200, "generateExamplesNumber": 1000, "generateModel": "m",
    }  # fmt: skip
    dataset = await fetch_dataset(api, await new_qa_dataset(api, **given), f"origin {' '.join(given)}")
    assert dataset == {"origin": "GENERATED", **given}


async def test_paths_name_the_project_and_the_dataset(api: Api, services: Services) -> None:
    project_id = await new_project(api)
    id = await new_qa_dataset(api, project_id)
    assert await fetch_dataset(api, id, "s3Path downloadUrl") == {
        "s3Path": f"{services.storage.uri}/datasets/{api.user_id}/{id}/",
        "downloadUrl": f"/api/projects/{project_id}/training-datasets/{id}/download",
    }


async def test_versions_count_up_within_a_project_whatever_is_deleted(api: Api) -> None:
    project_id = await new_project(api)
    first, second = await new_qa_dataset(api, project_id), await new_qa_dataset(api, project_id)
    await api.mutate("deleteDataset", "deletedId", id=second)
    third, elsewhere = await new_qa_dataset(api, project_id), await new_qa_dataset(api)
    versions = [(await fetch_dataset(api, id, "version"))["version"] for id in (first, third, elsewhere)]
    assert versions == [1, 3, 1]


async def test_a_wrong_value_says_which_field(api: Api) -> None:
    project_id = await new_project(api)
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"name": " "}, "REQUIRED", "name"),
        ({"fieldNames": ["question"]}, "INVALID_FIELDS", "fieldNames"),
        ({"fieldNames": ["question", "answer", "answer"]}, "DUPLICATE_FIELD", "fieldNames"),
        ({"inputField": "prompt"}, "UNKNOWN_FIELD", "inputField"),
        ({"languageIso": "en"}, "INVALID_LANGUAGE", "languageIso"),
        ({"jsonObjectFields": ["question"]}, "INVALID_JSON_FIELDS", "jsonObjectFields"),
        ({"generatePrompt": "a\x00b"}, "INVALID_TEXT", "generatePrompt"),
    ]
    for given, reason, field in wrong:
        error = await api.refused("createDataset", projectId=project_id, **(QA | given))
        assert (error["code"], error["reason"], error["field"]) == ("INVALID", reason, [field])


async def test_an_archived_project_gets_no_dataset_and_no_import(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    project_id = (await fetch_dataset(api, dataset_id, "project { id }"))["project"]["id"]
    document_id = await upload(api, project_id, CAPITALS)
    await api.mutate("updateProject", "project { id }", id=project_id, status="ARCHIVED")
    for error in (
        await api.refused("createDataset", projectId=project_id, **QA),
        await api.refused("importDataset", datasetId=dataset_id, documentId=document_id),
    ):
        assert error["reason"] == "PROJECT_ARCHIVED"


async def test_the_same_idempotency_key_creates_one_dataset(api: Api) -> None:
    project_id = await new_project(api)
    given = {"projectId": project_id, "idempotencyKey": "k", **QA}
    first = await api.mutate("createDataset", "dataset { id }", **given)
    assert await api.mutate("createDataset", "dataset { id }", **given) == first
    error = await api.refused("createDataset", **(given | {"name": "Another"}))
    assert error["reason"] == "IDEMPOTENCY_KEY_REUSED"


async def test_an_update_changes_what_is_given_and_null_clears(api: Api) -> None:
    id = await new_qa_dataset(api, description="d", corpusName="eurlex")
    changed = await api.mutate(
        "updateDataset", "dataset { name description corpusName fieldNames outputField }",
        id=id, name="New", description=None, fieldNames=["question", "reply"], outputField="reply",
    )  # fmt: skip
    assert changed["dataset"] == {
        "name": "New", "description": None, "corpusName": "eurlex", "fieldNames": ["question", "reply"],
        "outputField": "reply",
    }  # fmt: skip


async def test_an_update_that_changes_nothing_is_refused(api: Api) -> None:
    id = await new_qa_dataset(api, name="A")
    for given in ({}, {"name": "A"}, {"fieldNames": ["question", "answer"]}):
        assert (await api.refused("updateDataset", id=id, **given))["reason"] == "NOTHING_TO_CHANGE"
    assert (await api.refused("updateDataset", id=id, name=None))["reason"] == "REQUIRED"


async def test_a_new_prompt_adds_the_old_one_to_the_history(api: Api) -> None:
    id = await new_qa_dataset(api, generatePrompt="one")
    for prompt in ("two", "three", None):
        await api.mutate("updateDataset", "dataset { id }", id=id, generatePrompt=prompt)
    dataset = await fetch_dataset(
        api, id, "generatePrompt all: promptHistory { prompt } last: promptHistory(first: 1) { prompt }"
    )
    assert dataset == {
        "generatePrompt": None,
        "all": [{"prompt": "three"}, {"prompt": "two"}, {"prompt": "one"}],
        "last": [{"prompt": "three"}],
    }


async def test_a_list_has_from_1_to_100_entries(api: Api) -> None:
    id = await new_qa_dataset(api)
    for first in (0, 101, -1):
        for field in (f"promptHistory(first: {first}) {{ prompt }}", f"dataItemsSample(first: {first})"):
            body = await api.raw(f"query($id: ID!) {{ dataset(id: $id) {{ {field} }} }}", id=id)
            assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_USER_INPUT"]


async def test_after_planning_only_name_and_description_change(api: Api, worker: Worker) -> None:
    id = await imported_dataset(api, worker)
    error = await api.refused("updateDataset", id=id, languageIso="deu")
    assert (error["code"], error["reason"], error["field"]) == (
        "CONFLICT", "DATASET_NOT_PLANNING", ["languageIso"],
    )  # fmt: skip
    changed = await api.mutate(
        "updateDataset", "dataset { name description }", id=id, name="A", description="d"
    )
    assert changed["dataset"] == {"name": "A", "description": "d"}


async def test_a_queued_import_fixes_the_fields(api: Api) -> None:
    project_id = await new_project(api)
    id = await new_qa_dataset(api, project_id)
    document_id = await upload(api, project_id, CAPITALS)
    await api.mutate("importDataset", "job { id }", datasetId=id, documentId=document_id)
    error = await api.refused("updateDataset", id=id, fieldNames=["question", "answer", "note"])
    assert error["reason"] == "DATASET_NOT_PLANNING"


async def test_datasets_are_listed_newest_first_and_by_status(api: Api, worker: Worker) -> None:
    done, planned = await imported_dataset(api, worker), await new_qa_dataset(api)
    document = "query($status: RunStatus) { datasets(status: $status) { totalCount nodes { id } } }"
    assert (await api.gql(document))["datasets"] == {
        "totalCount": 2,
        "nodes": [{"id": planned}, {"id": done}],
    }
    assert (await api.gql(document, status="DONE"))["datasets"]["nodes"] == [{"id": done}]
    assert (await api.gql(document, status="DELETED"))["datasets"]["nodes"] == []
    assert (await api.other.gql(document))["datasets"]["totalCount"] == 0


async def test_a_deleted_dataset_is_gone_with_its_items(api: Api, worker: Worker, services: Services) -> None:
    id = await imported_dataset(api, worker)
    async with services.transactions.begin() as store:
        items = await store.items.sample([id], 10, viewer_id=api.user_id)
    assert (await api.mutate("deleteDataset", "deletedId", id=id))["deletedId"] == id
    found = await api.gql(
        "query($id: ID!, $item: ID!) { dataset(id: $id) { id } node(id: $item) { id } datasets { totalCount } }",
        id=id, item=items[id][0].id,
    )  # fmt: skip
    assert found == {"dataset": None, "node": None, "datasets": {"totalCount": 0}}
    assert (await api.refused("deleteDataset", id=id))["reason"] == "DATASET_NOT_FOUND"


async def test_a_fine_tune_keeps_its_items_when_its_dataset_is_deleted(api: Api, worker: Worker) -> None:
    id = await imported_dataset(api, worker, "question,answer\nOne?,1\nTwo?,\nThree?,3\n")
    project_id = (await fetch_dataset(api, id, "project { id }"))["project"]["id"]
    finetune = (await create_finetune(api, project_id, id))["finetune"]
    await api.mutate("deleteDataset", "deletedId", id=id)
    found = await api.gql(
        """query($id: ID!) { finetune(id: $id) { dataset { id status dataItemsSample stats { total } }
          trainedItems { nodes { data dataset { status } } } } }""",
        id=finetune["id"],
    )
    assert found["finetune"] == {
        "dataset": {"id": id, "status": "DELETED", "dataItemsSample": [], "stats": {"total": 2}},
        "trainedItems": {"nodes": [
            {"data": {"question": "One?", "answer": "1"}, "dataset": {"status": "DELETED"}},
            {"data": {"question": "Three?", "answer": "3"}, "dataset": {"status": "DELETED"}},
        ]},
    }  # fmt: skip


async def test_a_dataset_with_a_running_job_is_not_deleted(api: Api, services: Services) -> None:
    project_id = await new_project(api)
    id = await new_qa_dataset(api, project_id)
    document_id = await upload(api, project_id, CAPITALS)
    input = {"datasetId": id, "documentId": document_id}
    job = (await api.mutate("importDataset", "job { id }", **input))["job"]
    assert (await api.refused("deleteDataset", id=id))["reason"] == "DATASET_BUSY"
    await start_job(services, job["id"])
    assert (await fetch_dataset(api, id, "status"))["status"] == "RUNNING"
    assert (await api.refused("deleteDataset", id=id))["reason"] == "DATASET_BUSY"
    assert (await api.refused("importDataset", **input))["reason"] == "DATASET_BUSY"


async def test_another_users_dataset_is_not_found(api: Api, worker: Worker) -> None:
    id = await imported_dataset(api, worker)
    project_id = (await fetch_dataset(api, id, "project { id }"))["project"]["id"]
    document_id = await upload(api, project_id, CAPITALS)
    mine = await new_qa_dataset(api.other)
    for other in (id, "ds_01kg000000e008000000000001", "ds_garbage", document_id):
        assert (await api.other.gql("query($id: ID!) { dataset(id: $id) { id } }", id=other))[
            "dataset"
        ] is None
        for name, given in (
            ("updateDataset", {"id": other, "name": "Mine"}),
            ("deleteDataset", {"id": other}),
            ("importDataset", {"datasetId": other, "documentId": document_id}),
            ("deleteItems", {"datasetId": other, "filter": {}}),
            ("restoreItems", {"datasetId": other, "filter": {}}),
        ):
            error = await api.other.refused(name, **given)
            assert (error["code"], error["reason"]) == ("NOT_FOUND", "DATASET_NOT_FOUND"), name
    theirs = await api.other.refused("importDataset", datasetId=mine, documentId=document_id)
    assert theirs["reason"] == "DOCUMENT_NOT_FOUND"
    error = await api.other.refused("createDataset", projectId=project_id, **QA)
    assert error["reason"] == "PROJECT_NOT_FOUND"


async def test_the_same_items_have_the_same_hash_in_any_order(api: Api, worker: Worker) -> None:
    header, *rows = CAPITALS.splitlines()
    backwards = "\n".join([header, *reversed(rows)])
    first, second = await imported_dataset(api, worker), await imported_dataset(api, worker, backwards)
    fewer = await imported_dataset(api, worker, "\n".join([header, *rows[:2]]))
    hashes = [(await fetch_dataset(api, id, "contentHash"))["contentHash"] for id in (first, second, fewer)]
    assert hashes[0] == hashes[1] != hashes[2]
    await import_file(api, worker, fewer, "\n".join([header, rows[2]]))
    assert (await fetch_dataset(api, fewer, "contentHash"))["contentHash"] == hashes[0]
