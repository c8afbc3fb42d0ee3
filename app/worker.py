"""The worker process: takes jobs and chores from the queue, and puts back what a dead worker held."""

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from pathlib import Path

import procrastinate
from procrastinate.exceptions import ConnectorException

from app.settings import Settings
from app.wiring import wire
from domain.jobs import JobType
from domain.services import Services
from domain.use_cases import job_lifecycle
from infra.queue import DEFAULT, PURGE, RESCUE, TIDY, TRAINING, UNLOAD, WORK, Retry
from workers import datasets, deployments, documents, finetunes
from workers.base import Dispatcher, Handler

HANDLERS: Mapping[JobType, Handler] = {
    JobType.DOCUMENT_READ: documents.handle,
    JobType.DATASET_IMPORT: datasets.handle,
    JobType.FINETUNE: finetunes.handle,
    JobType.DEPLOY: deployments.handle,
}
CONCURRENCY = {DEFAULT: 8, TRAINING: 1}
GRACE_S = 30.0  # a training saves its checkpoint in that time


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; jobs under way are put back into the queue."""
    async with wire(settings) as wiring:
        register(wiring.queue, wiring.services, stalled_s=settings.luthier_stalled_s)
        async with wiring.queue.open_async():
            stopped = _on_signals()
            async with asyncio.TaskGroup() as group:
                workers = [
                    group.create_task(_work(wiring.queue, it, settings.luthier_stalled_s))
                    for it in CONCURRENCY
                ]
                _say_ready(settings.luthier_ready_file)
                await stopped.wait()
                for worker in workers:
                    worker.cancel()


def register(queue: procrastinate.App, services: Services, *, stalled_s: float) -> None:
    """Tell the queue how each task is done."""
    dispatcher = Dispatcher(services, HANDLERS)

    @queue.task(name=WORK, retry=Retry(Exception))  # `lifecycle.begin` ends what never succeeds
    async def work(job_id: str) -> None:
        await dispatcher.work(job_id)

    @queue.task(name=PURGE, retry=Retry(Exception))
    async def purge(prefixes: list[str]) -> None:
        for prefix in prefixes:
            await services.storage.delete(prefix)

    @queue.task(name=UNLOAD, retry=Retry(Exception))
    async def unload(model_ids: list[str]) -> None:
        for model_id in model_ids:
            await services.runtime.remove(model_id)
            await finetunes.forget(services, model_id)

    @queue.periodic(cron="*/10 * * * *")
    @queue.task(name=TIDY, queueing_lock=TIDY, queue=DEFAULT)
    async def tidy(timestamp: int) -> None:  # noqa: ARG001 - every periodic task is given it
        async with services.transactions.begin() as store:
            await store.background_tasks.delete_files(await store.documents.expire())
            await store.idempotency.expire()

    @queue.periodic(cron="* * * * * */5")  # seconds stand last
    @queue.task(name=RESCUE, queueing_lock=RESCUE, queue=DEFAULT)
    async def rescue(timestamp: int) -> None:  # noqa: ARG001 - every periodic task is given it
        await requeue(queue, services, stalled_s)


async def requeue(queue: procrastinate.App, services: Services, stalled_s: float) -> None:
    """Have the jobs begun again whose worker has given no sign of life for a while, or that nobody holds."""
    for job in await queue.job_manager.get_stalled_jobs(seconds_since_heartbeat=stalled_s):
        with contextlib.suppress(ConnectorException):  # another worker's rescue was first
            await queue.job_manager.retry_job(job)
    async with services.transactions.begin() as store:
        await job_lifecycle.requeue(store)


async def _work(queue: procrastinate.App, name: str, stalled_s: float) -> None:
    await queue.run_worker_async(
        queues=[name],
        name=name,
        concurrency=CONCURRENCY[name],
        install_signal_handlers=False,
        update_heartbeat_interval=stalled_s / 4,
        stalled_worker_timeout=stalled_s,
        fetch_job_polling_interval=2.0,  # what is put back comes without a notification
        shutdown_graceful_timeout=0.0,  # what runs is put back at once, and begins again where it stopped
        delete_jobs="successful",
    )


def _on_signals() -> asyncio.Event:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


def _say_ready(file: Path | None) -> None:
    if file is not None:
        file.touch()
