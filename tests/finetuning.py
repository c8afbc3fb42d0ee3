"""Objects for tests of fine-tunes and deployments: projects, DONE datasets, fine-tuned models."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from domain import items
from domain.conversations import PREFERENCE_FIELDS, ItemFormat
from domain.datasets import Dataset, RunStatus
from domain.items import Item, ItemOrigin
from domain.services import Services
from domain.use_cases import datasets
from tests.clients import Api
from tests.conftest import Worker

CAPITALS = (("Capital of France?", "Paris"), ("Capital of Peru?", "Lima"), ("Capital of Ghana?", "Accra"))
PREFERENCES = (("Greet me.", "Good morning!", "What?"), ("Thank me.", "Thank you!", "Why?"))
PREFERENCE = {
    "item_format": ItemFormat.PREFERENCE,
    "input_field": "input",
    "output_field": "preferred_output",
    "field_names": PREFERENCE_FIELDS,
}
FIELDS = {"input_field": "question", "output_field": "answer", "field_names": ("question", "answer")}
TINY = "luthier/tiny"
FINETUNE = "finetune { id status modelName trainedItemCount trainedContentHash } job { id status type }"

Pairs = Sequence[tuple[str, str]]


async def new_project(api: Api, name: str = "Capitals", **values: Any) -> str:
    """Create a project; its id."""
    payload = await api.mutate("createProject", "project { id }", name=name, **values)
    return str(payload["project"]["id"])


async def new_dataset(services: Services, api: Api, project_id: str, rows: Pairs = CAPITALS) -> str:
    """Create a dataset that is DONE and has these rows as items; its id."""
    async with services.transactions.begin() as store:
        values = dict[str, Any](FIELDS)
        dataset = await datasets.create(store, project_id, values, viewer_id=api.user_id, now=services.now())
        questions = ({"question": question, "answer": answer} for question, answer in rows)
        await store.items.add_many(_items(services, dataset, questions))
        await store.datasets.change(dataset.id, {"status": RunStatus.DONE})
        await store.items.recompute(dataset)
    return dataset.id


async def new_preference_dataset(
    services: Services, api: Api, project_id: str, rows: Iterable[tuple[str, str, str]] = PREFERENCES
) -> str:
    """Create a DONE dataset of preference pairs: a question, the better answer and the worse one; its id."""
    async with services.transactions.begin() as store:
        values = dict[str, Any](PREFERENCE)
        dataset = await datasets.create(store, project_id, values, viewer_id=api.user_id, now=services.now())
        await store.items.add_many(_items(services, dataset, map(_preference_values, rows)))
        await store.datasets.change(dataset.id, {"status": RunStatus.DONE})
        await store.items.recompute(dataset)
    return dataset.id


def _preference_values(row: tuple[str, str, str]) -> dict[str, str]:
    question, better, worse = row
    return {
        "input": json.dumps({"messages": [{"role": "user", "content": question}]}),
        "preferred_output": json.dumps([{"role": "assistant", "content": better}]),
        "non_preferred_output": json.dumps([{"role": "assistant", "content": worse}]),
    }


async def _items(
    services: Services, dataset: Dataset, rows: Iterable[Mapping[str, str]]
) -> AsyncIterator[Item]:
    for position, values in enumerate(rows):
        yield items.new_item(
            dataset,
            dict(values),
            key=f"row {position}",
            position=position,
            origin=ItemOrigin.UPLOADED,
            now=services.now(),
        )


async def create_finetune(api: Api, project_id: str, dataset_id: str, **values: Any) -> dict[str, Any]:
    """Create a fine-tune; its payload with fine-tune and job."""
    required = {"projectId": project_id, "baseModelName": TINY, "trainingDatasetId": dataset_id}
    return await api.mutate("createFinetune", FINETUNE, **(required | values))


async def trained_finetune(
    services: Services, api: Api, worker: Worker, name: str = "Capitals"
) -> dict[str, Any]:
    """A fine-tune that is DONE, in a new project."""
    project_id = await new_project(api, name)
    dataset_id = await new_dataset(services, api, project_id)
    payload = await create_finetune(api, project_id, dataset_id)
    await worker.drain()
    finetune = await fetch_finetune(api, payload["finetune"]["id"], "id status error modelName outputPath")
    assert finetune["status"] == "DONE", finetune
    return {"project_id": project_id, "dataset_id": dataset_id, "job_id": payload["job"]["id"], **finetune}


async def fetch_finetune(api: Api, id: str, fields: str) -> dict[str, Any]:
    """Fields of a fine-tune from the API."""
    found = await api.gql(f"query($id: ID!) {{ finetune(id: $id) {{ {fields} }} }}", id=id)
    return dict(found["finetune"])
