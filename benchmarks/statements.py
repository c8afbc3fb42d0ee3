"""How many SQL statements a query takes, by how many rows it asks for.

`python -m benchmarks.statements` prints the table of the README: the heaviest queries that the limit on cost lets
through with a hundred parents, each with 1, 50 and 100 of them. It ends with an error where the numbers differ.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
from starlette.applications import Starlette

from app.asgi import HANDLERS, add_routes, with_middleware
from app.settings import read_settings
from app.wiring import wire
from benchmarks import machine
from benchmarks.recorded import recorded_statements
from domain import api_keys, finetunes, ids, items
from domain.accounts import new_user
from domain.base_models import TINY
from domain.datasets import Dataset, RunStatus
from domain.deployments import Deployment
from domain.finetunes import Finetune
from domain.hyperparameters import FinetuneMethod
from domain.ids import Noun
from domain.items import Item, ItemOrigin
from domain.job_events import LogLine
from domain.jobs import JobType, new_job
from domain.projects import Project
from domain.store import Store
from domain.use_cases import accounts, datasets, projects

PARENTS = (1, 50, 100)
CHILDREN = 3
NOW = datetime(2026, 1, 1, tzinfo=UTC)

QUERIES = {
    "projects and their datasets": """projects(first: $first) { totalCount nodes {
      id name stage owner { email } stats { itemCount } baseModel { name } trainingDataset { name }
      datasets(first: 3) { totalCount nodes { name contentHash dataItemsSample(first: 2) stats { valid } job { status }
        items(first: 2) { totalCount nodes { values dataset { version } } } } } } }""",
    "projects, fine-tunes and deployments": """projects(first: $first) { totalCount nodes {
      id name finetune { modelName } documents(first: 3) { nodes { filename job { status } } }
      finetunes(first: 3) { totalCount nodes { modelName progress baseModel { name } dataset { version } } }
      deployments(first: 3) { totalCount nodes { modelName finetune { id } apiKeys(first: 3) { nodes { prefix } }
        logs(first: 2) { nodes { id } } } } } }""",
    "fine-tunes": """finetunes(first: $first) { totalCount nodes {
      id modelName progress currentStep recentLogs(lines: 5) project { name stage } baseModel { name }
      dataset { name stats { valid } } job { status events(first: 5) { totalCount nodes { cursor } } }
      history(first: 5) { totalCount nodes { step } }
      trainedItems(first: 4) { totalCount nodes { values source { document { id } } } }
      deployments(first: 3) { totalCount nodes { id apiKeys(first: 2) { nodes { prefix } } } } } }""",
    "deployments": """deployments(first: $first) { totalCount nodes {
      id baseUrl project { name stage stats { itemCount } } job { status project { name } }
      finetune { modelName dataset { name items(first: 5) { totalCount nodes { values } } } baseModel { name } }
      apiKeys(first: 5) { totalCount nodes { prefix deployment { id } } }
      logs(first: 5) { totalCount nodes { id } } } }""",
    "jobs": """jobs(type: FINETUNE, first: $first) { totalCount nodes {
      id status project { name owner { email } datasets(first: 3) { nodes { name } } }
      subject { id ... on Finetune { modelName dataset { name project { name } } deployments(first: 3) { nodes { id } } } }
      events(first: 20) { totalCount nodes { cursor ... on LogEvent { line } } } } }""",
}


async def insert_rows(store: Store, owner_id: str, count: int) -> None:
    """Insert projects, each with three datasets, fine-tunes and deployments, and jobs with log lines."""
    for number in range(count):
        project = await projects.create(store, {"name": f"p{number}"}, viewer_id=owner_id, now=NOW)
        for _ in range(CHILDREN):
            await _insert_rows(store, project)


async def _insert_rows(store: Store, project: Project) -> None:
    fields = {"input_field": "q", "output_field": "a", "field_names": ("q", "a")}
    dataset = await datasets.create(store, project.id, fields, viewer_id=project.owner_id, now=NOW)
    await store.items.add_many(_items(dataset))
    await store.datasets.change(dataset.id, {"status": RunStatus.DONE})
    finetune = _finetune(project, dataset)
    await store.finetunes.add(finetune)
    deployment = Deployment(
        id=ids.new(Noun.DEPLOYMENT),
        project_id=project.id,
        owner_id=project.owner_id,
        model_name=finetune.model_name,
        finetune_id=finetune.id,
        created_at=NOW,
    )
    await store.deployments.add(deployment)
    await store.api_keys.add(api_keys.new_key(project.owner_id, "k", deployment_id=deployment.id, now=NOW)[0])
    await _insert_job(store, project, JobType.DATASET_IMPORT, dataset.id)
    await _insert_job(store, project, JobType.FINETUNE, finetune.id)
    await _insert_job(store, project, JobType.DEPLOY, deployment.id)


async def _items(dataset: Dataset) -> AsyncIterator[Item]:
    for number in range(CHILDREN):
        values = {"q": f"question {number}", "a": f"answer {number}"}
        yield items.new_item(
            dataset, values, key=str(number), position=number, origin=ItemOrigin.UPLOADED, now=NOW
        )


def _finetune(project: Project, dataset: Dataset) -> Finetune:
    return Finetune(
        id=ids.new(Noun.FINETUNE),
        project_id=project.id,
        owner_id=project.owner_id,
        version=dataset.version,
        model_name=finetunes.model_name(TINY.model_id, project.name, dataset.version),
        base_model_name=TINY.model_id,
        base_model_id=TINY.id,
        status=RunStatus.DONE,
        method=FinetuneMethod.LORA,
        hyperparameters=TINY.hyperparameters({}, max_seq_length=128),
        dataset_id=dataset.id,
        created_at=NOW,
    )


async def _insert_job(store: Store, project: Project, type: JobType, subject_id: str) -> None:
    job = new_job(
        type, project_id=project.id, owner_id=project.owner_id, subject_id=subject_id, now=NOW, arguments={}
    )
    await store.jobs.add(job)
    started = await store.jobs.start(job.id)
    assert started is not None
    await store.job_events.append(started, [LogLine("began"), LogLine("went on")])


@asynccontextmanager
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """The API in this process, signed in, with rows."""
    async with machine.database_environment() as variables:
        settings = read_settings(**{name.lower(): value for name, value in variables.items()})
        async with wire(settings) as wiring:
            app = Starlette(exception_handlers=HANDLERS)
            add_routes(app, wiring, settings)
            user = new_user("a@example.org", "A", "-", now=NOW)
            async with wiring.services.transactions.begin() as store:
                await accounts.register(store, user)
                await insert_rows(store, user.id, max(PARENTS))
            headers = {"authorization": f"Bearer {wiring.services.tokens.issue(user.id)[0]}"}
            transport = httpx.ASGITransport(with_middleware(app, settings))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://luthier.example", headers=headers
            ) as made:
                yield made


async def ask(api: httpx.AsyncClient, query: str, first: int) -> tuple[int, int]:
    """How many statements a query took, and what it cost."""
    with recorded_statements() as statements:
        body = {"query": f"query($first: Int) {{ {query} }}", "variables": {"first": first}}
        response = (await api.post("/graphql", json=body)).json()
    if response.get("errors"):
        raise SystemExit(f"{response['errors'][0]['message']} {query}")
    found = next(iter(response["data"].values()))["nodes"]
    assert len(found) == first, f"{len(found)} of {first} rows"
    return len(statements), response.get("extensions", {}).get("cost", 0)


async def measure() -> str:
    """The Markdown table."""
    titles = " | ".join(f"{count} parent{'s' * (count > 1)}" for count in PARENTS)
    table = [f"| query | cost with {PARENTS[-1]} | {titles} |", f"|---|---:|{'---:|' * len(PARENTS)}"]
    async with client() as api:
        for name, query in QUERIES.items():
            found = [await ask(api, query, first) for first in PARENTS]
            counts = [count for count, _ in found]
            if len(set(counts)) > 1:
                raise SystemExit(f"{name}: {counts} statements with {PARENTS} parents")
            table.append(f"| {name} | {found[-1][1]:,} | {' | '.join(map(str, counts))} |")
    return "\n".join(table)


if __name__ == "__main__":
    print(asyncio.run(measure()))
