"""Documents over GraphQL: presigned uploads, what is read from them, and how they go."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.wiring import Wiring
from domain.documents import UPLOAD_URL_S, UploadLimits
from domain.services import Services
from infra.db.tables import documents
from infra.queue import DELETE_FILES, EXPIRE
from tests.clients import Api
from tests.conftest import Worker
from tests.importing import drain_queue, new_qa_dataset, upload
from tests.importing import fetch_dataset as dataset_shown
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

BEGUN = "uploadUrl method headers s3Key expiresAt document { id status s3Key downloadUrl sizeBytes }"
DOCUMENT = """id project { id } filename kind mimeType sizeBytes status error language pageCount sha256
  preview { headers rows rowCount columnCount } s3Key downloadUrl job { id status type } createdAt"""
TABLE = b"question,answer\nCapital of France?,Paris\n"


@pytest.fixture
def services(wiring: Wiring, services: Services) -> Services:  # noqa: ARG001
    """The services, with small limits."""
    return replace(services, limits=UploadLimits(file_bytes=1_000, project_bytes=2_500))


async def initiate(api: Api, project_id: str, **given: Any) -> dict[str, Any]:
    input = {"fileName": "table.csv", "fileType": "text/csv", "kind": "DATASET_UPLOAD"}
    return await api.mutate("initiateUpload", BEGUN, projectId=project_id, **(input | given))


async def put(initiated: dict[str, Any], content: bytes, **headers: str) -> int:
    async with httpx.AsyncClient() as browser:
        response = await browser.put(
            initiated["uploadUrl"], content=content, headers=initiated["headers"] | headers
        )
    return response.status_code


async def shown(api: Api, id: str) -> Any:
    return (await api.gql(f"query($id: ID!) {{ document(id: $id) {{ {DOCUMENT} }} }}", id=id))["document"]


def completion(initiated: dict[str, Any]) -> dict[str, str]:
    return {"documentId": initiated["document"]["id"], "s3Key": initiated["s3Key"]}


async def test_a_file_is_uploaded_to_storage_and_read(api: Api, worker: Worker) -> None:
    project_id = await new_project(api)
    initiated = await initiate(api, project_id, fileName="C:\\data\\my table.csv", sizeBytes=len(TABLE))
    id = initiated["document"]["id"]
    assert initiated["document"] == {
        "id": id, "status": "PENDING_UPLOAD", "s3Key": f"documents/{id}/my_table.csv", "downloadUrl": None,
        "sizeBytes": len(TABLE),
    }  # fmt: skip
    assert (initiated["method"], initiated["headers"]) == ("PUT", {"Content-Type": "text/csv"})
    assert await put(initiated, TABLE) == 200

    done = await api.mutate("completeUpload", "document { status } job { id type }", **completion(initiated))
    assert (done["document"]["status"], done["job"]["type"]) == ("PROCESSING", "DOCUMENT_READ")
    await worker.drain()
    document = await shown(api, id)
    assert document | {"createdAt": ""} == {
        "id": id, "project": {"id": project_id}, "filename": "my table.csv", "kind": "DATASET_UPLOAD",
        "mimeType": "text/csv", "sizeBytes": len(TABLE), "status": "READY", "error": None, "language": None,
        "pageCount": None, "sha256": hashlib.sha256(TABLE).hexdigest(),
        "preview": {
            "headers": ["question", "answer"], "rows": [["Capital of France?", "Paris"]], "rowCount": 1,
            "columnCount": 2,
        },
        "s3Key": f"documents/{id}/my_table.csv", "downloadUrl": f"/api/projects/{project_id}/documents/{id}/download",
        "job": {"id": done["job"]["id"], "status": "SUCCESS", "type": "DOCUMENT_READ"}, "createdAt": "",
    }  # fmt: skip


async def test_a_repeated_completion_returns_the_same_job(api: Api) -> None:
    initiated = await initiate(api, await new_project(api))
    await put(initiated, TABLE)
    selection = "document { id status } job { id }"
    first = await api.mutate("completeUpload", selection, **completion(initiated))
    assert await api.mutate("completeUpload", selection, **completion(initiated)) == first


async def test_concurrent_completions_create_one_job(api: Api) -> None:
    initiated = await initiate(api, await new_project(api))
    await put(initiated, TABLE)
    calls = (api.mutate("completeUpload", "job { id }", **completion(initiated)) for _ in range(4))
    assert len({made["job"]["id"] for made in await asyncio.gather(*calls)}) == 1


async def test_the_upload_url_is_signed_for_its_type_and_key(api: Api) -> None:
    initiated = await initiate(api, await new_project(api))
    assert await put(initiated, TABLE, **{"Content-Type": "text/html"}) == 403
    initiated["uploadUrl"] = initiated["uploadUrl"].replace("table.csv", "other.csv")
    assert await put(initiated, TABLE) == 403


async def test_a_wrong_key_is_refused_without_a_request_to_storage(api: Api) -> None:
    initiated = await initiate(api, await new_project(api))
    error = await api.refused(
        "completeUpload", **completion(initiated) | {"s3Key": "documents/other/table.csv"}
    )
    assert (error["code"], error["reason"], error["field"]) == ("INVALID", "S3_KEY_MISMATCH", ["s3Key"])


async def test_a_completion_before_the_upload_is_a_conflict_and_may_be_retried(api: Api) -> None:
    initiated = await initiate(api, await new_project(api))
    error = await api.refused("completeUpload", **completion(initiated))
    assert (error["code"], error["reason"]) == ("CONFLICT", "NOT_UPLOADED")
    await put(initiated, TABLE)
    await api.mutate("completeUpload", "job { id }", **completion(initiated))


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [(b"", "INVALID", "FILE_EMPTY"), (b"x" * 1_001, "LIMIT_EXCEEDED", "FILE_TOO_LARGE")],
)
async def test_refused_bytes_are_deleted_and_the_document_fails(
    api: Api, services: Services, worker: Worker, content: bytes, code: str, reason: str
) -> None:
    initiated = await initiate(api, await new_project(api))
    await put(initiated, content)
    error = await api.refused("completeUpload", **completion(initiated))
    assert (error["code"], error["reason"]) == (code, reason)
    await worker.drain()
    assert await services.storage.head(initiated["s3Key"]) is None
    document = await shown(api, initiated["document"]["id"])
    assert (document["status"], document["error"], document["downloadUrl"]) == (
        "FAILED",
        error["message"],
        None,
    )
    again = await api.refused("completeUpload", **completion(initiated))
    assert (again["code"], again["reason"]) == ("CONFLICT", "UPLOAD_REFUSED")


async def test_announced_bytes_count_against_the_projects_limit(api: Api) -> None:
    project_id = await new_project(api)
    for _ in range(2):
        await initiate(api, project_id, sizeBytes=1_000)
    given = {"projectId": project_id, "fileName": "t.csv", "fileType": "text/csv", "kind": "DATASET_UPLOAD"}
    error = await api.refused("initiateUpload", **given, sizeBytes=600)
    assert (error["code"], error["reason"]) == ("LIMIT_EXCEEDED", "PROJECT_FULL")
    assert error["context"] == {"limitBytes": 2_500, "presentBytes": 2_000}


async def test_a_replayed_upload_returns_the_document_and_no_url_once_it_is_complete(api: Api) -> None:
    project_id = await new_project(api)
    first = await initiate(api, project_id, idempotencyKey="k")
    second = await initiate(api, project_id, idempotencyKey="k")
    assert second["document"]["id"] == first["document"]["id"]
    assert await put(second, TABLE) == 200
    await api.mutate("completeUpload", "job { id }", **completion(first))
    third = await initiate(api, project_id, idempotencyKey="k")
    assert (third["uploadUrl"], third["document"]["id"]) == (None, first["document"]["id"])


@pytest.mark.parametrize(
    ("given", "reason", "field"),
    [
        ({"fileType": "video/mp4"}, "UNSUPPORTED_FILE_TYPE", ["fileType"]),
        ({"fileType": "application/pdf"}, "UNSUPPORTED_FILE_TYPE", ["fileType"]),
        ({"fileName": " / "}, "INVALID_FILE_NAME", ["fileName"]),
        ({"fileName": "x" * 201}, "TOO_LONG", ["fileName"]),
        ({"sizeBytes": 0}, "FILE_EMPTY", ["sizeBytes"]),
        ({"sizeBytes": -1}, "FILE_EMPTY", ["sizeBytes"]),
        ({"sizeBytes": 1_001}, "FILE_TOO_LARGE", ["sizeBytes"]),
    ],
)
async def test_an_upload_that_is_not_allowed_is_refused_at_once(
    api: Api, given: dict[str, Any], reason: str, field: list[str]
) -> None:
    input = {"fileName": "table.csv", "fileType": "text/csv", "kind": "DATASET_UPLOAD"}
    error = await api.refused("initiateUpload", projectId=await new_project(api), **(input | given))
    assert (error["reason"], error["field"]) == (reason, field)


async def test_another_users_document_and_project_are_not_found(api: Api) -> None:
    project_id = await new_project(api)
    initiated = await initiate(api, project_id)
    id = initiated["document"]["id"]
    assert await shown(api.other, id) is None
    given = {"projectId": project_id, "fileName": "t.csv", "fileType": "text/csv", "kind": "DATASET_UPLOAD"}
    for name, values in (
        ("initiateUpload", given),
        ("completeUpload", completion(initiated)),
        ("deleteDocument", {"id": id}),
    ):
        assert (await api.other.refused(name, **values))["code"] == "NOT_FOUND"


async def test_a_projects_documents_can_be_listed_by_kind(api: Api) -> None:
    project_id = await new_project(api)
    await initiate(api, project_id)
    await initiate(api, project_id, fileName="a.pdf", fileType="application/pdf", kind="RAW_DOC")
    query = """query($id: ID!, $kind: DocumentKind) { project(id: $id) {
      documents(kind: $kind) { totalCount nodes { filename } } } }"""
    all_of_them = (await api.gql(query, id=project_id))["project"]["documents"]
    raw = (await api.gql(query, id=project_id, kind="RAW_DOC"))["project"]["documents"]
    assert all_of_them == {"totalCount": 2, "nodes": [{"filename": "a.pdf"}, {"filename": "table.csv"}]}
    assert raw == {"totalCount": 1, "nodes": [{"filename": "a.pdf"}]}


async def test_a_document_is_deleted_with_its_bytes(api: Api, services: Services, worker: Worker) -> None:
    id = await upload(api, await new_project(api), TABLE)
    key = (await shown(api, id))["s3Key"]
    await worker.drain()
    assert await services.storage.head(key) is not None
    assert (await api.mutate("deleteDocument", "deletedId", id=id))["deletedId"] == id
    await worker.drain()
    assert await shown(api, id) is None
    assert await services.storage.head(key) is None


async def test_bytes_put_after_the_completion_are_neither_imported_nor_downloaded(
    api: Api, worker: Worker
) -> None:
    project_id = await new_project(api)
    initiated = await initiate(api, project_id)
    id = initiated["document"]["id"]
    await put(initiated, TABLE)
    await api.mutate("completeUpload", "job { id }", **completion(initiated))
    await worker.drain()
    assert await put(initiated, TABLE.replace(b"Paris", b"Lyons")) == 200  # the URL works for an hour
    response = await api.rest.get((await shown(api, id))["downloadUrl"])
    assert (response.status_code, response.json()["error_code"]) == (409, "FILE_CHANGED")
    dataset_id = await new_qa_dataset(api, project_id)
    await api.mutate("importDataset", "job { id }", datasetId=dataset_id, documentId=id)
    await drain_queue(worker)
    found = await dataset_shown(api, dataset_id, "status error items(first: 1) { nodes { id } }")
    assert found == {
        "status": "FAILED",
        "error": "The file was changed after its upload was completed.",
        "items": {"nodes": []},
    }


async def announced(database: AsyncEngine, id: str, age: timedelta) -> None:
    """Have an upload be announced so long ago."""
    async with database.begin() as connection:
        changed = update(documents).where(documents.c.id == id)
        await connection.execute(changed.values(created_at=func.now() - age))


async def test_an_abandoned_upload_is_deleted_after_its_url_expires(
    api: Api, services: Services, worker: Worker, database: AsyncEngine
) -> None:
    project_id = await new_project(api)
    late, old = [await initiate(api, project_id, sizeBytes=1_000) for _ in range(2)]
    assert await put(old, TABLE) == 200  # never completed
    await announced(database, late["document"]["id"], timedelta(seconds=1.9 * UPLOAD_URL_S))
    await announced(database, old["document"]["id"], timedelta(seconds=2.1 * UPLOAD_URL_S))
    third = await initiate(api, project_id, sizeBytes=1_000)  # there is room: the old one counts no more
    await worker.queue.configure_task(EXPIRE).defer_async(timestamp=0)
    await worker.drain()
    assert await shown(api, old["document"]["id"]) is None
    assert await services.storage.head(old["s3Key"]) is None
    assert await put(late, TABLE) == 200
    for initiated in (late, third):
        assert (await shown(api, initiated["document"]["id"]))["status"] == "PENDING_UPLOAD"


async def test_bytes_put_after_a_deletion_are_deleted_after_the_url_expires(
    api: Api, services: Services, worker: Worker
) -> None:
    initiated = await initiate(api, await new_project(api))
    await put(initiated, TABLE)
    await api.mutate("deleteDocument", "deletedId", id=initiated["document"]["id"])
    await worker.drain()
    assert await put(initiated, TABLE) == 200
    (later,) = await worker.queue.job_manager.list_jobs_async(task=DELETE_FILES, status="todo")
    assert later.scheduled_at is not None
    assert (
        timedelta()
        <= services.now() + timedelta(seconds=2 * UPLOAD_URL_S) - later.scheduled_at
        < timedelta(minutes=2)
    )
    await worker.queue.connector.execute_query_async("update procrastinate_jobs set scheduled_at = null")
    await worker.drain()
    assert await services.storage.head(initiated["s3Key"]) is None


async def test_a_document_that_is_being_imported_cannot_be_deleted(api: Api) -> None:
    project_id = await new_project(api)
    id = await upload(api, project_id, TABLE)
    await api.mutate(
        "importDataset", "job { id }", datasetId=await new_qa_dataset(api, project_id), documentId=id
    )
    error = await api.refused("deleteDocument", id=id)
    assert (error["code"], error["reason"]) == ("CONFLICT", "DOCUMENT_IN_USE")


async def test_documents_are_listed_over_every_project_and_by_kind(api: Api) -> None:
    table = await upload(api, await new_project(api), TABLE)
    text = await initiate(
        api, await new_project(api), fileName="text.txt", fileType="text/plain", kind="RAW_DOC"
    )
    query = "query($kind: DocumentKind) { documents(kind: $kind) { totalCount nodes { id } } }"

    async def listed(user: Api, **variables: Any) -> list[str]:
        found = (await user.gql(query, **variables))["documents"]
        assert found["totalCount"] == len(found["nodes"])
        return [node["id"] for node in found["nodes"]]

    assert await listed(api) == await listed(api, kind=None) == [text["document"]["id"], table]
    assert await listed(api, kind="DATASET_UPLOAD") == [table]
    assert await listed(api, kind="RAW_DOC") == [text["document"]["id"]]
    assert await listed(api.other) == []


async def test_uploaded_tables_count_as_datasets_until_they_are_deleted(api: Api, worker: Worker) -> None:
    async def counted() -> int:
        return int(
            (await api.gql("{ viewer { usage { datasetsCount } } }"))["viewer"]["usage"]["datasetsCount"]
        )

    project_id, other_project = await new_project(api), await new_project(api)
    await initiate(api, project_id, fileName="text.txt", fileType="text/plain", kind="RAW_DOC")
    initiated = await initiate(api, project_id)
    assert await counted() == 0
    await put(initiated, TABLE)
    await api.mutate("completeUpload", "document { id }", **completion(initiated))
    assert await counted() == 1
    await upload(api, other_project, TABLE)
    dataset_id = await new_qa_dataset(api, other_project)
    await upload(api.other, await new_project(api.other), TABLE)
    assert await counted() == 3
    await worker.drain()
    await api.mutate("deleteDocument", "deletedId", id=initiated["document"]["id"])
    assert await counted() == 2
    await api.mutate("deleteDataset", "deletedId", id=dataset_id)
    assert await counted() == 1
    await api.mutate("deleteProject", "deletedId", id=other_project)
    assert await counted() == 0


TICKET = "query($path: String!) { ticket(path: $path) { ticket expiresAt } }"


async def test_a_ticket_opens_one_path_for_its_viewer(
    api: Api, anonymous: httpx.AsyncClient, worker: Worker
) -> None:
    project_id = await new_project(api)
    paths = [(await shown(api, await upload(api, project_id, TABLE)))["downloadUrl"] for _ in range(2)]
    await worker.drain()
    ticket = (await api.gql(TICKET, path=paths[0] + "?inline=1"))["ticket"]["ticket"]
    opened = await anonymous.get(paths[0], params={"ticket": ticket})
    assert (opened.status_code, opened.content) == (200, TABLE)
    assert (await anonymous.get(paths[1], params={"ticket": ticket})).status_code == 401
    others = (await api.other.gql(TICKET, path=paths[0]))["ticket"]["ticket"]
    assert (await anonymous.get(paths[0], params={"ticket": others})).status_code == 404


async def test_a_ticket_is_for_a_rest_path(api: Api) -> None:
    body = await api.raw(TICKET, path="https://elsewhere.example/api/")
    assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
