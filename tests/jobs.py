"""Jobs for tests, made without going through what they would work on."""

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
    """A project of this user's."""
    return str((await api.mutate("createProject", "project { id }", name=name))["project"]["id"])


async def new_dataset(api: Api, project_id: str, **given: Any) -> str:
    """A dataset without items."""
    fields = {"inputField": "q", "outputField": "a", "fieldNames": ["q", "a"]}
    made = await api.mutate("createDataset", "dataset { id }", projectId=project_id, **(fields | given))
    return str(made["dataset"]["id"])


async def queued_job(api: Api, services: Services) -> Job:
    """A queued import that nobody works on."""
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


async def begin(services: Services, job_id: str) -> Job:
    """Take a job as a worker does."""
    async with services.transactions.begin() as store:
        job = await job_lifecycle.begin(store, job_id)
    assert job is not None
    return job


async def say(services: Services, job: Job, *events: Event) -> None:
    """Record events as a worker does."""
    async with services.transactions.begin() as store:
        await store.job_events.append(job, events)


async def succeed(services: Services, job: Job) -> Job:
    """End a job well."""
    async with services.transactions.begin() as store:
        return await job_lifecycle.succeed(store, job, {"rows": 1})


def begun_between(store: Store, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a worker begin each queued job right after this transaction has read it."""
    get = store.jobs.get

    async def get_then_begin(id: str, *, viewer_id: str) -> Job | None:
        found = await get(id, viewer_id=viewer_id)
        if found is not None and found.attempt == 0:
            await begin(services, id)
        return found

    monkeypatch.setattr(store.jobs, "get", get_then_begin)
