"""Which jobs a worker requeues."""

import asyncio
from typing import Any

import pytest
from procrastinate.tasks import configure_task

from app.worker import HANDLERS, requeue_jobs
from domain.services import Services
from infra.queue import RUN_JOB
from tests.clients import Api
from tests.conftest import Worker
from tests.fakes.trainer import FakeTrainer
from tests.finetuning import create_finetune, new_dataset
from tests.importing import CAPITALS, drain_queue, fetch_dataset, new_qa_dataset, upload
from tests.jobs import new_project, queued_job, start_job
from workers.dispatcher import Dispatcher

pytestmark = pytest.mark.anyio


async def queued(worker: Worker) -> list[Any]:
    """The jobs that the queue holds."""
    found = await worker.queue.job_manager.list_jobs_async(task=RUN_JOB)
    return [job.task_kwargs["job_id"] for job in found]


@pytest.mark.parametrize("started", [False, True])
async def test_a_job_that_fell_out_of_the_queue_is_requeued_once(
    api: Api, services: Services, worker: Worker, started: bool
) -> None:
    job = await queued_job(api, services)
    if started:
        await start_job(services, job.id)
    await asyncio.gather(*(requeue_jobs(worker.queue, services, 20) for _ in range(4)))
    assert await queued(worker) == [job.id]


async def test_what_is_in_the_queue_or_not_ours_to_work_is_left_alone(
    api: Api, services: Services, worker: Worker
) -> None:
    project_id = await new_project(api)
    dataset_id = await new_dataset(services, api, project_id)
    external = await create_finetune(api, project_id, dataset_id, runner="EXTERNAL")
    await api.mutate("cancelFinetune", "finetune { id }", id=external["finetune"]["id"])
    local = await create_finetune(api, project_id, dataset_id)
    other = await new_project(api, "other")
    await create_finetune(api, other, await new_dataset(services, api, other), runner="EXTERNAL")
    await requeue_jobs(worker.queue, services, 20)
    assert await queued(worker) == [local["job"]["id"]]


async def test_a_job_that_was_queued_under_an_earlier_name_of_its_task_is_not_requeued_and_runs(
    api: Api, services: Services, worker: Worker
) -> None:
    job = await queued_job(api, services)
    manager = worker.queue.job_manager
    await configure_task(name="luthier.work", job_manager=manager).defer_async(job_id=job.id)
    await configure_task(name="luthier.purge", job_manager=manager).defer_async(prefixes=["documents/none/"])
    for periodic in ("luthier.rescue", "luthier.tidy"):
        await configure_task(name=periodic, job_manager=manager).defer_async(timestamp=0)
    await requeue_jobs(worker.queue, services, 20)
    assert await queued(worker) == []
    await worker.drain()
    assert await manager.list_jobs_async() == []
    ended = await api.gql("query($id: ID!) { job(id: $id) { status } }", id=job.id)
    assert ended["job"]["status"] == "FAILED"


async def test_a_job_that_a_worker_holds_is_left_alone(
    api: Api, services: Services, worker: Worker, trainer: FakeTrainer
) -> None:
    project_id = await new_project(api)
    made = await create_finetune(api, project_id, await new_dataset(services, api, project_id))
    trainer.may_end.clear()
    draining = asyncio.create_task(worker.drain())
    try:
        async for recorded in services.job_streams.events(made["job"]["id"]):
            if recorded.kind == "LOG":
                break
        await requeue_jobs(worker.queue, services, 20)
        assert await queued(worker) == [made["job"]["id"]]
    finally:
        trainer.may_end.set()
        await draining


async def test_an_import_waits_for_its_document_and_is_requeued_when_that_was_read(
    api: Api, services: Services, worker: Worker
) -> None:
    project_id = await new_project(api)
    document_id = await upload(api, project_id, CAPITALS)
    dataset_id = await new_qa_dataset(api, project_id)
    made = await api.mutate("importDataset", "job { id }", datasetId=dataset_id, documentId=document_id)
    (reading,) = await queued(worker)
    await requeue_jobs(worker.queue, services, 20)
    assert await queued(worker) == [reading]
    await Dispatcher(services, HANDLERS).work(reading)  # this enqueues the import
    await worker.queue.connector.execute_query_async("delete from procrastinate_jobs")
    await requeue_jobs(worker.queue, services, 20)
    assert await queued(worker) == [made["job"]["id"]]
    await drain_queue(worker)
    assert (await fetch_dataset(api, dataset_id, "status"))["status"] == "DONE"
