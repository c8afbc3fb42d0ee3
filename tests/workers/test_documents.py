"""Reading uploads: their previews and checksums, and the errors of those that cannot be read."""

import hashlib
from typing import Any

import pytest

from domain.services import Services
from tests.clients import Api
from tests.conftest import Worker
from tests.importing import new_qa_dataset, upload
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

DOCUMENT = (
    "status error sha256 s3Key preview { headers rows rowCount columnCount } job { status error attempts }"
)


async def shown(api: Api, id: str) -> Any:
    return (await api.gql(f"query($id: ID!) {{ document(id: $id) {{ {DOCUMENT} }} }}", id=id))["document"]


async def read(api: Api, worker: Worker, content: bytes, name: str) -> Any:
    id = await upload(api, await new_project(api), content, name)
    await worker.drain()
    return await shown(api, id)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.txt"])
async def test_json_lines_have_a_preview_too(api: Api, worker: Worker, name: str) -> None:
    document = await read(api, worker, b'{"q": "1", "a": 2}\nbroken\n', name)
    assert (document["status"], document["preview"]) == (
        "READY",
        {"headers": ["q", "a"], "rows": [["1", "2"], ["", ""]], "rowCount": 2, "columnCount": 2},
    )


async def test_a_file_that_is_no_table_is_kept_with_its_checksum(api: Api, worker: Worker) -> None:
    document = await read(api, worker, b"PAR1 and so on", "rows.parquet")
    assert (document["status"], document["preview"]) == ("READY", None)
    assert document["sha256"] == hashlib.sha256(b"PAR1 and so on").hexdigest()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"question,answer\n", "The table has a header but no rows."),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00", "The file is not a text table: it holds binary data."),
        (
            b'q,"a\n1,2\n',
            "The header cannot be read. The quoted value that begins on line 1 is never closed.",
        ),
    ],
)
async def test_a_table_that_is_none_fails_in_one_sentence(
    api: Api, worker: Worker, content: bytes, sentence: str
) -> None:
    document = await read(api, worker, content, "table.csv")
    assert (document["status"], document["error"]) == ("FAILED", sentence)
    assert (document["job"]["status"], document["job"]["error"]) == ("FAILED", sentence)


async def test_an_import_waits_for_the_reading_and_fails_with_it(api: Api, worker: Worker) -> None:
    project_id = await new_project(api)
    id = await upload(api, project_id, b'q,"a\n1,2\n')
    dataset_id = await new_qa_dataset(api, project_id)
    await api.mutate("importDataset", "job { id }", datasetId=dataset_id, documentId=id)
    await worker.drain()
    await worker.drain()  # the import is queued when the reading ends
    found = await api.gql("query($id: ID!) { dataset(id: $id) { job { status error } } }", id=dataset_id)
    assert found["dataset"]["job"]["status"] == "FAILED"
    assert "The header cannot be read." in found["dataset"]["job"]["error"]


async def test_bytes_that_changed_after_their_completion_are_refused(
    api: Api, services: Services, worker: Worker
) -> None:
    id = await upload(api, await new_project(api), b"q,a\n1,2\n")

    async def others() -> Any:
        yield b"q,a\n1,2\n3,4\n"

    await services.storage.write((await shown(api, id))["s3Key"], others(), "text/csv")
    await worker.drain()
    document = await shown(api, id)
    assert document["status"] == "FAILED"
    assert document["error"] == "The file has 12 bytes, but had 8 when its upload was completed."


async def test_nothing_of_a_reading_stays_on_the_workers_disk(
    api: Api, services: Services, worker: Worker
) -> None:
    await read(api, worker, b"q,a\n1,2\n", "table.csv")
    assert list(services.work_folder.iterdir()) == []
