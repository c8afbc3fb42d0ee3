"""Imports by a worker: all rows or none, and each row once."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import psutil
import pytest

from domain.errors import Unavailable
from domain.job_events import Progress
from domain.jobs import Superseded
from domain.services import Services
from tests.clients import Api
from tests.conftest import Worker
from tests.importing import (
    CAPITALS,
    csv_table,
    drain_queue,
    fetch_dataset,
    import_file,
    import_result,
    imported_dataset,
    item_values,
    items,
    new_qa_dataset,
    upload,
)
from tests.jobs import new_project, start_job
from workers.datasets import handle

pytestmark = pytest.mark.anyio

PARIS = [["Größe von Paris?", "105 km²"]]


@pytest.mark.parametrize(
    "content",
    [
        "question,answer\nGröße von Paris?,105 km²\n".encode(),
        "question,answer\nGröße von Paris?,105 km²\n".encode("utf-8-sig"),
        "question;answer\r\nGröße von Paris?;105 km²\r\n".encode("cp1252"),
        "question\tanswer\r\nGröße von Paris?\t105 km²\r\n".encode("utf-16"),
        'answer,extra,QUESTION\n105 km²,"x\ny",Größe von Paris?'.encode(),
    ],
    ids=["utf-8", "bom", "semicolons in cp1252", "tabs in utf-16", "other order, case and columns"],
)
async def test_a_table_is_read_as_it_was_meant(api: Api, worker: Worker, content: bytes) -> None:
    dataset_id = await imported_dataset(api, worker, content)
    assert await item_values(api, dataset_id) == PARIS


async def test_json_lines_are_rows_and_what_is_no_text_is_kept_as_json(api: Api, worker: Worker) -> None:
    rows: list[Any] = [
        {"question": "One?", "answer": 1},
        {"answer": {"a": [True, None]}, "question": "Two?", "extra": "x"},
        {"question": "Three?", "answer": None},
    ]
    content = "\n".join([*map(json.dumps, rows), "not JSON"])
    dataset_id = await new_qa_dataset(api)
    done = await import_file(api, worker, dataset_id, content, "rows.jsonl")
    assert done["job"]["result"] == import_result(4, valid=2, format="JSONL")
    found = await items(api, dataset_id, "values problems { code message }")
    assert [item["values"] for item in found] == [
        ["One?", "1"], ["Two?", '{"a": [true, null]}'], ["Three?", ""], ["", ""],
    ]  # fmt: skip
    assert [item["problems"] for item in found[2:]] == [
        [{"code": "FIELD_MISSING", "message": "Line 3: The field 'answer' is empty."}],
        [{"code": "JSON_INVALID", "message": "Line 4 is not JSON."}],
    ]


@pytest.mark.parametrize("format", ["JSONL", None])
async def test_a_text_is_read_as_asked_or_as_it_looks(api: Api, worker: Worker, format: str | None) -> None:
    dataset_id = await new_qa_dataset(api)
    content = '{"question": "q", "answer": "a"}\n{"question": "r", "answer": "b"}\n'
    done = await import_file(api, worker, dataset_id, content, "rows.txt", format=format)
    assert done["status"] == "DONE", done
    assert await item_values(api, dataset_id) == [["q", "a"], ["r", "b"]]


async def test_a_ragged_row_is_an_invalid_item_with_its_line_and_the_rest_comes_in(
    api: Api, worker: Worker
) -> None:
    dataset_id = await new_qa_dataset(api)
    content = 'question,answer\n"One\nmore?",1\nTwo?\nThree?,3,3\nFour?,4\n'
    done = await import_file(api, worker, dataset_id, content)
    assert done["job"]["result"] == import_result(4, valid=2)
    assert await items(api, dataset_id, "values problems { code message }", isValid=False) == [
        {
            "values": ["Two?", ""],
            "problems": [{"code": "FIELD_MISSING", "message": "Line 4: The field 'answer' is empty."}],
        },
        {
            "values": ["Three?", "3"],
            "problems": [
                {"code": "JSON_INVALID", "message": "Line 5 has 3 values, but the header has 2 fields."}
            ],
        },
    ]


async def test_an_import_records_its_counts(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    await import_file(api, worker, dataset_id, csv_table(2))
    dataset = await fetch_dataset(
        api,
        dataset_id,
        "status error origin fileCount totalSizeBytes job { progress } documents { nodes { filename } }",
    )
    assert dataset == {
        "status": "DONE", "error": None, "origin": "UPLOADED", "fileCount": 2,
        "totalSizeBytes": len(CAPITALS) + len(csv_table(2)), "job": {"progress": 1.0},
        "documents": {"nodes": [{"filename": "table.csv"}] * 2},
    }  # fmt: skip


async def test_the_same_document_imported_twice_adds_nothing(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    before = await items(api, dataset_id)
    dataset = await fetch_dataset(api, dataset_id, "contentHash documents { nodes { id } }")
    again = {"datasetId": dataset_id, "documentId": dataset["documents"]["nodes"][0]["id"]}
    await api.mutate("importDataset", "job { id }", **again)
    await drain_queue(worker)
    assert await items(api, dataset_id) == before
    after = await fetch_dataset(api, dataset_id, "contentHash fileCount job { result }")
    assert after == {
        "contentHash": dataset["contentHash"],
        "fileCount": 1,
        "job": {"result": import_result(3, valid=3)},
    }


async def test_the_same_key_begins_one_import(api: Api, worker: Worker) -> None:
    project_id = await new_project(api)
    dataset_id = await new_qa_dataset(api, project_id)
    arguments = {
        "datasetId": dataset_id,
        "documentId": await upload(api, project_id, CAPITALS),
        "idempotencyKey": "k",
    }
    first = await api.mutate("importDataset", "dataset { id } job { id }", **arguments)
    assert await api.mutate("importDataset", "dataset { id } job { id }", **arguments) == first
    await drain_queue(worker)
    after = await api.mutate("importDataset", "dataset { status } job { id status }", **arguments)
    assert after["dataset"] == {"status": "DONE"}
    assert after["job"] == {"id": first["job"]["id"], "status": "SUCCESS"}


async def test_an_import_waits_for_its_document_to_be_read(api: Api, worker: Worker) -> None:
    project_id = await new_project(api)
    dataset_id = await new_qa_dataset(api, project_id)
    document_id = await upload(api, project_id, CAPITALS)
    arguments = {"datasetId": dataset_id, "documentId": document_id}
    begun = await api.mutate(
        "importDataset", "dataset { status documents { totalCount } } job { id status progress }", **arguments
    )
    assert begun["dataset"] == {"status": "PLANNING", "documents": {"totalCount": 0}}
    document = await api.gql("query($id: ID!) { document(id: $id) { status } }", id=document_id)
    assert (begun["job"]["status"], document["document"]["status"]) == ("QUEUED", "PROCESSING")
    await drain_queue(worker)
    assert (await fetch_dataset(api, dataset_id, "status"))["status"] == "DONE"


async def test_an_import_fails_with_the_reason_of_its_document(api: Api, worker: Worker) -> None:
    done = await import_file(api, worker, await new_qa_dataset(api), "question,answer\n")
    assert (done["status"], done["job"]["status"]) == ("FAILED", "FAILED")
    assert done["error"] == "The document could not be read: The table has a header but no rows."
    assert done["job"]["error"] == done["error"]


async def test_a_header_without_the_fields_says_which_are_missing(api: Api, worker: Worker) -> None:
    done = await import_file(api, worker, await new_qa_dataset(api), "Frage,answer\nq,a\n")
    assert done["status"] == "FAILED"
    assert done["error"].startswith("The file has no column for 'question'; its header is 'Frage', 'answer'.")


async def test_a_failed_import_leaves_a_filled_dataset_as_it_was(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker)
    failed = await import_file(api, worker, dataset_id, "Frage,Antwort\nq,a\n")
    assert (failed["status"], failed["job"]["status"]) == ("DONE", "FAILED")
    assert failed["error"] is not None
    dataset = await fetch_dataset(api, dataset_id, "fileCount stats { total }")
    assert dataset == {"fileCount": 1, "stats": {"total": 3}}


async def test_rows_that_are_all_invalid_are_imported_all_the_same(api: Api, worker: Worker) -> None:
    done = await import_file(api, worker, await new_qa_dataset(api), "question,answer\nOne?,\n,2\n")
    assert done["status"] == "DONE"
    assert done["job"]["result"] == import_result(2, valid=0)


async def test_a_document_of_another_format_is_not_imported(api: Api) -> None:
    project_id = await new_project(api)
    dataset_id = await new_qa_dataset(api, project_id)
    document_id = await upload(api, project_id, "[]", "rows.parquet")
    error = await api.refused("importDataset", datasetId=dataset_id, documentId=document_id)
    assert error["reason"] == "UNSUPPORTED_FORMAT"


async def test_a_document_of_another_project_is_not_imported(api: Api) -> None:
    document_id = await upload(api, await new_project(api), CAPITALS)
    error = await api.refused("importDataset", datasetId=await new_qa_dataset(api), documentId=document_id)
    assert error["reason"] == "DOCUMENT_NOT_FOUND"


async def waiting(api: Api, worker: Worker, content: str = CAPITALS) -> str:
    """The id of a job that imports a document which was read."""
    project_id = await new_project(api)
    document_id = await upload(api, project_id, content)
    await drain_queue(worker)
    arguments = {"datasetId": await new_qa_dataset(api, project_id), "documentId": document_id}
    return str((await api.mutate("importDataset", "job { id }", **arguments))["job"]["id"])


async def test_a_worker_that_dies_before_the_end_leaves_nothing_and_the_next_one_imports(
    api: Api, services: Services, worker: Worker
) -> None:
    job = await start_job(services, await waiting(api, worker))
    await handle(services, job)  # and the worker dies before it commits the job's success
    assert len(await items(api, job.subject_id)) == 3
    await drain_queue(worker)
    dataset = await fetch_dataset(
        api, job.subject_id, "status fileCount stats { total } job { result attempts }"
    )
    assert dataset == {
        "status": "DONE", "fileCount": 1, "stats": {"total": 3},
        "job": {"result": import_result(3, valid=3), "attempts": 2},
    }  # fmt: skip


async def test_a_superseded_worker_writes_nothing(api: Api, services: Services, worker: Worker) -> None:
    superseded = await start_job(services, await waiting(api, worker))
    await start_job(services, superseded.id)
    with pytest.raises(Superseded):
        await handle(services, superseded)
    assert await items(api, superseded.subject_id) == []


async def test_a_cancelled_import_writes_nothing_and_may_be_begun_again(
    api: Api, services: Services, worker: Worker
) -> None:
    job = await start_job(services, await waiting(api, worker))
    cancelled = await api.mutate("cancelJob", "job { status }", id=job.id)
    assert cancelled["job"]["status"] == "CANCELLED"
    with pytest.raises(Superseded):
        await handle(services, job)
    dataset = await fetch_dataset(api, job.subject_id, "status error fileCount items { totalCount }")
    assert dataset == {"status": "ABORTED", "error": None, "fileCount": 0, "items": {"totalCount": 0}}
    assert (await import_file(api, worker, job.subject_id, CAPITALS))["status"] == "DONE"


async def test_an_import_is_cancelled_at_once_while_its_rows_come_in(
    api: Api, services: Services, worker: Worker
) -> None:
    job = await start_job(services, await waiting(api, worker, csv_table(20_000)))
    handling = asyncio.ensure_future(handle(services, job))
    async for recorded in services.job_streams.events(job.id):
        if isinstance(recorded.event, Progress):
            break
    began = time.perf_counter()
    await api.mutate("cancelJob", "job { id }", id=job.id)
    assert time.perf_counter() - began < 1
    with pytest.raises(Superseded):
        await handling
    assert await items(api, job.subject_id) == []


async def test_an_import_raises_when_storage_is_unavailable(
    api: Api, services: Services, worker: Worker
) -> None:
    class UnavailableStorage:
        async def download(self, *_: object) -> None:
            raise Unavailable("The storage does not answer.")

    job = await start_job(services, await waiting(api, worker))
    with pytest.raises(Unavailable):
        await handle(replace(services, storage=UnavailableStorage()), job)  # type: ignore[arg-type]  # only that is called


async def test_fifty_thousand_rows_come_in_within_seconds_and_flat_memory(
    api: Api, services: Services, worker: Worker
) -> None:
    rows = 50_000
    job = await start_job(services, await waiting(api, worker, csv_table(rows)))
    before, began = _resident_mib(), time.perf_counter()
    handling = asyncio.ensure_future(handle(services, job))
    seen: list[tuple[float, float]] = []
    async for recorded in services.job_streams.events(job.id):
        if isinstance(recorded.event, Progress):
            seen.append((recorded.event.progress, _resident_mib()))
            if recorded.event == Progress(0.9, "50,000 rows read"):
                break
    assert await handling == import_result(rows, valid=rows)
    assert time.perf_counter() - began < 30  # about 4 s on two cores that nobody else uses
    assert [share for share, _ in seen] == [0.09, 0.18, 0.27, 0.36, 0.45, 0.54, 0.63, 0.72, 0.81, 0.9]
    assert max(resident for _, resident in seen) - before < 32  # the rows as objects would be 100


def _resident_mib() -> float:
    return psutil.Process().memory_info().rss / 2**20
