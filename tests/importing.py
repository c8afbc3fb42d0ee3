"""Objects for tests of datasets: uploads, and datasets with imported items."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.queue import RUN_JOB
from tests.clients import Api
from tests.conftest import Worker
from tests.jobs import new_dataset, new_project

FORMAT_FILES = Path(__file__).parent / "data" / "formats"
QA: dict[str, Any] = {"inputField": "question", "outputField": "answer", "fieldNames": ["question", "answer"]}
CAPITALS = "question,answer\nCapital of France?,Paris\nCapital of Peru?,Lima\nCapital of Ghana?,Accra\n"


def csv_table(count: int, *, first: int = 0) -> str:
    """A CSV file with `count` different rows."""
    lines = (f"Question {number}?,Answer {number}" for number in range(first, first + count))
    return "\n".join(["question,answer", *lines])


async def upload(
    api: Api,
    project_id: str,
    content: str | bytes,
    name: str = "table.csv",
    media_type: str = "application/octet-stream",
) -> str:
    """Upload a dataset file that no worker has read yet; the id of its document."""
    body = content.encode() if isinstance(content, str) else content
    response = await api.rest.post(
        f"/api/projects/{project_id}/files",
        data={"kind": "dataset_upload"},
        files=[("files", (name, body, media_type))],
    )
    assert response.status_code == 201, response.text
    return str(response.json()["files"][0]["id"])


async def new_qa_dataset(api: Api, project_id: str | None = None, **values: Any) -> str:
    """Create a dataset of questions and answers, in a new project unless one is given; its id."""
    return await new_dataset(api, project_id or await new_project(api), **(QA | values))


async def fetch_dataset(api: Api, id: str, fields: str) -> dict[str, Any]:
    """Fields of a dataset from the API."""
    found = await api.gql(f"query($id: ID!) {{ dataset(id: $id) {{ {fields} }} }}", id=id)
    return dict(found["dataset"])


async def drain_queue(worker: Worker) -> None:
    """Run all jobs in the queue, with those that they enqueue."""
    while await worker.queue.job_manager.list_jobs_async(task=RUN_JOB, status="todo"):
        await worker.drain()


async def import_file(
    api: Api, worker: Worker, dataset_id: str, content: str | bytes, name: str = "table.csv", **values: Any
) -> dict[str, Any]:
    """Upload and import a file; the dataset with its job afterwards."""
    project = await fetch_dataset(api, dataset_id, "project { id }")
    document_id = await upload(api, project["project"]["id"], content, name)
    input = {"datasetId": dataset_id, "documentId": document_id, **values}
    await api.mutate("importDataset", "job { id }", **input)
    await drain_queue(worker)
    return await fetch_dataset(api, dataset_id, "id status error job { id status error result progress }")


def import_result(rows: int, *, valid: int, **values: Any) -> dict[str, Any]:
    """The result of the import of a CSV file without duplicates, with other values where these are named."""
    return {
        "rows": rows, "valid": valid, "invalid": rows - valid, "duplicates": 0, "unguarded": 0, "ignored": [],
        "encoding": "utf-8", "format": "CSV", "item_format": "PROMPT_COMPLETION",
    } | values  # fmt: skip


async def imported_dataset(api: Api, worker: Worker, content: str | bytes = CAPITALS, **values: Any) -> str:
    """Create a dataset with the rows of a file as items; its id."""
    dataset_id = await new_qa_dataset(api, **values)
    dataset = await import_file(api, worker, dataset_id, content)
    assert dataset["status"] == "DONE", dataset
    return dataset_id


async def items(api: Api, dataset_id: str, fields: str = "id values", **filter: Any) -> list[dict[str, Any]]:
    """The first items of a dataset that match a filter."""
    document = f"""query($id: ID!, $filter: ItemFilter) {{
      dataset(id: $id) {{ items(first: 100, filter: $filter) {{ nodes {{ {fields} }} }} }} }}"""
    found = await api.gql(document, id=dataset_id, filter=filter)
    return list(found["dataset"]["items"]["nodes"])


async def item_values(api: Api, dataset_id: str, **filter: Any) -> Sequence[list[str]]:
    """The values of a dataset's first items."""
    return [item["values"] for item in await items(api, dataset_id, "values", **filter)]


async def new_dataset_of(api: Api, item_format: str, **values: Any) -> str:
    """Create a dataset of a format, in a new project unless `projectId` is given; its id."""
    if "projectId" not in values:
        values["projectId"] = await new_project(api)
    payload = await api.mutate("createDataset", "dataset { id }", itemFormat=item_format, **values)
    return str(payload["dataset"]["id"])


async def import_into_new(
    api: Api, worker: Worker, item_format: str, content: str | bytes, name: str, **options: Any
) -> dict[str, Any]:
    """The dataset after a file was imported into a new one, with its job."""
    return await import_file(api, worker, await new_dataset_of(api, item_format), content, name, **options)
