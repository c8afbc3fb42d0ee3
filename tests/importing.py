"""What tests of datasets begin with: an upload, and its rows as items."""

from collections.abc import Sequence
from typing import Any

from infra.queue import WORK
from tests.clients import Api
from tests.conftest import Worker
from tests.jobs import new_dataset, new_project

QA = {"inputField": "question", "outputField": "answer", "fieldNames": ["question", "answer"]}
CAPITALS = "question,answer\nCapital of France?,Paris\nCapital of Peru?,Lima\nCapital of Ghana?,Accra\n"


def table(count: int, *, first: int = 0) -> str:
    """A CSV file of so many different rows."""
    lines = (f"Question {number}?,Answer {number}" for number in range(first, first + count))
    return "\n".join(["question,answer", *lines])


async def upload(api: Api, project_id: str, content: str | bytes, name: str = "table.csv") -> str:
    """The id of a document that waits to be read."""
    body = content.encode() if isinstance(content, str) else content
    reply = await api.rest.post(
        f"/api/projects/{project_id}/files",
        data={"kind": "dataset_upload"},
        files=[("files", (name, body, "application/octet-stream"))],
    )
    assert reply.status_code == 201, reply.text
    return str(reply.json()["files"][0]["id"])


async def new_qa(api: Api, project_id: str | None = None, **given: Any) -> str:
    """The id of a dataset of questions and answers, in a project of its own unless one is named."""
    return await new_dataset(api, project_id or await new_project(api), **(QA | given))


async def shown(api: Api, id: str, fields: str) -> dict[str, Any]:
    """A dataset as the API shows it."""
    found = await api.gql(f"query($id: ID!) {{ dataset(id: $id) {{ {fields} }} }}", id=id)
    return dict(found["dataset"])


async def drain(worker: Worker) -> None:
    """Run the queue to its end, with the imports that it enqueues when their document was read."""
    while await worker.queue.job_manager.list_jobs_async(task=WORK, status="todo"):
        await worker.drain()


async def add(
    api: Api, worker: Worker, dataset_id: str, content: str | bytes, name: str = "table.csv", **given: Any
) -> dict[str, Any]:
    """Import a file to its end; the dataset's status and error, and its job."""
    project = await shown(api, dataset_id, "project { id }")
    document_id = await upload(api, project["project"]["id"], content, name)
    asked = {"datasetId": dataset_id, "documentId": document_id, **given}
    await api.mutate("importDataset", "job { id }", **asked)
    await drain(worker)
    return await shown(api, dataset_id, "id status error job { id status error result progress }")


async def imported(api: Api, worker: Worker, content: str | bytes = CAPITALS, **given: Any) -> str:
    """The id of a dataset that holds the rows of a file."""
    dataset_id = await new_qa(api, **given)
    done = await add(api, worker, dataset_id, content)
    assert done["status"] == "DONE", done
    return dataset_id


async def items(api: Api, dataset_id: str, fields: str = "id values", **filter: Any) -> list[dict[str, Any]]:
    """The first items of a dataset."""
    document = f"""query($id: ID!, $filter: ItemFilter) {{
      dataset(id: $id) {{ items(first: 100, filter: $filter) {{ nodes {{ {fields} }} }} }} }}"""
    found = await api.gql(document, id=dataset_id, filter=filter)
    return list(found["dataset"]["items"]["nodes"])


async def values(api: Api, dataset_id: str, **filter: Any) -> Sequence[list[str]]:
    """The texts of a dataset's first items."""
    return [it["values"] for it in await items(api, dataset_id, "values", **filter)]
