"""Jobs for tests, created and changed without a worker."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.job_events import Event
from domain.jobs import Job, JobType, new_job
from domain.services import Services
from domain.store import Store
from domain.use_cases import job_lifecycle
from tests.clients import Api


async def new_project(api: Api, name: str = "a project") -> str:
    """Create a project; its id."""
    return str((await api.mutate("createProject", "project { id }", name=name))["project"]["id"])


async def new_dataset(api: Api, project_id: str, **values: Any) -> str:
    """Create a dataset without items; its id."""
    fields = {"inputField": "q", "outputField": "a", "fieldNames": ["q", "a"]}
    payload = await api.mutate("createDataset", "dataset { id }", projectId=project_id, **(fields | values))
    return str(payload["dataset"]["id"])


async def queued_job(api: Api, services: Services) -> Job:
    """Add an import job that is QUEUED but not in the queue."""
    project_id = await new_project(api)
    job = new_job(
        JobType.DATASET_IMPORT,
        project_id=project_id,
        owner_id=api.user_id,
        subject_id=await new_dataset(api, project_id),
        now=datetime.now(UTC),
    )
    async with services.transactions.begin() as store:
        await store.jobs.add(job)
    return job


async def start_job(services: Services, job_id: str) -> Job:
    """Start a job as a worker does."""
    async with services.transactions.begin() as store:
        job = await job_lifecycle.start(store, job_id)
    assert job is not None
    return job


async def record_events(services: Services, job: Job, *events: Event) -> None:
    """Append events as a worker does."""
    async with services.transactions.begin() as store:
        await store.job_events.append(job, events)


async def succeed(services: Services, job: Job) -> Job:
    """Set a job SUCCESS as a worker does."""
    async with services.transactions.begin() as store:
        return await job_lifecycle.succeed(store, job, {"rows": 1})


def started_between(store: Store, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each queued job in another transaction right after this one has read it."""
    get = store.jobs.get

    async def get_then_start(id: str, *, viewer_id: str) -> Job | None:
        found = await get(id, viewer_id=viewer_id)
        if found is not None and found.attempt == 0:
            await start_job(services, id)
        return found

    monkeypatch.setattr(store.jobs, "get", get_then_start)
