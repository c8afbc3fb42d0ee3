"""The number of SQL statements of a query depends on its depth, never on its rows."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from benchmarks.recorded import recorded_statements
from domain import api_keys, finetunes, ids, items
from domain.base_models import TINY
from domain.datasets import Dataset, RunStatus
from domain.deployments import Deployment
from domain.finetunes import Finetune
from domain.hyperparameters import FinetuneMethod
from domain.ids import Noun
from domain.items import Item, ItemOrigin
from domain.projects import Project
from domain.services import Services
from domain.store import Store
from domain.use_cases import datasets, projects
from tests.clients import Api

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARTS = (
    "name stage owner { email } stats { itemCount }",
    """datasets(first: 5) { totalCount nodes {
      name contentHash dataItemsSample(first: 2) stats { valid } job { status } } }""",
    """datasets(first: 5) { nodes { documents(first: 5) { nodes { id } }
      items(first: 5) { totalCount nodes { values dataset { version } } } } }""",
    "datasets(first: 5) { nodes { items(first: 5) { nodes { source { document { id } } } } } }",
    "datasets(first: 5) { nodes { items(first: 5) { nodes { data conversation { messages { content } } } } } }",
    """finetunes(first: 5) { nodes { modelName baseModel { name } dataset { id } recentLogs(lines: 5)
      history(first: 5) { nodes { step } } } }""",
    """finetunes(first: 5) { nodes {
      trainedItems(first: 5) { nodes { id } } deployments(first: 5) { nodes { id } } } }""",
    """deployments(first: 5) { nodes { modelName finetune { id }
      apiKeys(first: 5) { nodes { prefix } } logs(first: 5) { nodes { id } } } }""",
)
"""Selections of a project; all of them in one operation would cost too much."""
DOCUMENTS = [
    f"query($first: Int) {{ projects(first: $first) {{ totalCount nodes {{ {part} }} }} }}" for part in PARTS
]


async def create_rows(services: Services, owner_id: str, count: int) -> None:
    """Projects with five datasets of five items, five fine-tunes and five deployments each."""
    async with services.transactions.begin() as store:
        for number in range(count):
            project = await projects.create(store, {"name": f"p{number}"}, viewer_id=owner_id, now=NOW)
            for _ in range(5):
                await plant_one(store, project)


async def plant_one(store: Store, project: Project) -> None:
    fields = {"input_field": "q", "output_field": "a", "field_names": ("q", "a")}
    dataset = await datasets.create(store, project.id, fields, viewer_id=project.owner_id, now=NOW)
    await store.items.add_many(five_items(dataset))
    await store.datasets.change(dataset.id, {"status": RunStatus.DONE})
    finetune = Finetune(
        id=ids.new(Noun.FINETUNE), project_id=project.id, owner_id=project.owner_id, version=dataset.version,
        model_name=finetunes.model_name("luthier/tiny", project.name, dataset.version),
        base_model_name=TINY.model_id, base_model_id=TINY.id, status=RunStatus.DONE, method=FinetuneMethod.LORA,
        hyperparameters=TINY.hyperparameters({}, max_seq_length=128), dataset_id=dataset.id, created_at=NOW,
    )  # fmt: skip
    await store.finetunes.add(finetune)
    deployment = Deployment(
        id=ids.new(Noun.DEPLOYMENT), project_id=project.id, owner_id=project.owner_id,
        model_name=finetune.model_name, finetune_id=finetune.id, created_at=NOW,
    )  # fmt: skip
    await store.deployments.add(deployment)
    await store.api_keys.add(api_keys.new_key(project.owner_id, "k", deployment_id=deployment.id, now=NOW)[0])


async def five_items(dataset: Dataset) -> AsyncIterator[Item]:
    for number in range(5):
        values = {"q": f"question {number}", "a": f"answer {number}"}
        yield items.new_item(
            dataset, values, key=str(number), position=number, origin=ItemOrigin.UPLOADED, now=NOW
        )


async def test_the_number_of_statements_does_not_depend_on_the_number_of_parents(
    api: Api, services: Services
) -> None:
    await create_rows(services, api.user_id, 50)
    sizes = set()
    for document in DOCUMENTS:
        await api.gql(document, first=2)  # connections and caches are warm
        counts = {}
        for first in (1, 50):
            with recorded_statements() as seen:
                found = (await api.gql(document, first=first))["projects"]["nodes"]
            assert len(found) == first
            sizes |= set(lengths(found))
            counts[first] = len(seen)
        assert counts[1] == counts[50], document
        assert counts[50] < 20, document
    assert sizes >= {(name, 5) for name in ("datasets", "finetunes", "deployments", "items")}
    assert {size for name, size in sizes if name in {"datasets", "finetunes", "items"}} == {5}


def lengths(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """The lengths of the connections in a response, by the names of their fields."""
    if isinstance(value, list):
        for item in value:
            yield from lengths(item, name)
    elif isinstance(value, dict):
        if "nodes" in value:
            yield name, len(value["nodes"])
        for field, inner in value.items():
            yield from lengths(inner, name if field == "nodes" else field)
