"""The worker process: runs jobs and background tasks from the queue, and requeues jobs of dead workers."""

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
from infra.queue import ALIASES, DEFAULT, DELETE_FILES, EXPIRE, REQUEUE, RUN_JOB, TRAINING, UNLOAD, Retry
from workers import datasets, deployments, documents, finetunes
from workers.dispatcher import Dispatcher, Handler

HANDLERS: Mapping[JobType, Handler] = {
    JobType.DOCUMENT_READ: documents.handle,
    JobType.DATASET_IMPORT: datasets.handle,
    JobType.FINETUNE: finetunes.handle,
    JobType.DEPLOY: deployments.handle,
}
CONCURRENCY = {DEFAULT: 8, TRAINING: 1}


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; running jobs are requeued."""
    async with wire(settings) as wiring:
        register(wiring.queue, wiring.services, stalled_s=settings.luthier_stalled_s)
        async with wiring.queue.open_async():
            stopping = _stop_signals()
            async with asyncio.TaskGroup() as group:
                workers = [
                    group.create_task(_work(wiring.queue, queue_name, settings.luthier_stalled_s))
                    for queue_name in CONCURRENCY
                ]
                _write_ready_file(settings.luthier_ready_file)
                await stopping.wait()
                for worker in workers:
                    worker.cancel()


def register(queue: procrastinate.App, services: Services, *, stalled_s: float) -> None:
    """Register the functions of all tasks with the queue."""
    dispatcher = Dispatcher(services, HANDLERS)

    @queue.task(
        name=RUN_JOB, aliases=ALIASES[RUN_JOB], retry=Retry(Exception)
    )  # `job_lifecycle.start` fails a job that never succeeds
    async def run_job(job_id: str) -> None:
        await dispatcher.work(job_id)

    @queue.task(name=DELETE_FILES, aliases=ALIASES[DELETE_FILES], retry=Retry(Exception))
    async def delete_files(prefixes: list[str]) -> None:
        for prefix in prefixes:
            await services.storage.delete(prefix)

    @queue.task(name=UNLOAD, retry=Retry(Exception))
    async def unload(model_ids: list[str]) -> None:
        for model_id in model_ids:
            await services.runtime.remove(model_id)
            await finetunes.delete_work_folder(services, model_id)

    @queue.periodic(cron="*/10 * * * *")
    @queue.task(name=EXPIRE, aliases=ALIASES[EXPIRE], queueing_lock=EXPIRE, queue=DEFAULT)
    async def expire_records(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it to every periodic task
        async with services.transactions.begin() as store:
            await store.background_tasks.delete_files(await store.documents.expire())
            await store.idempotency.expire()

    @queue.periodic(cron="* * * * * */5")  # the sixth field is seconds
    @queue.task(name=REQUEUE, aliases=ALIASES[REQUEUE], queueing_lock=REQUEUE, queue=DEFAULT)
    async def requeue(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it to every periodic task
        await requeue_jobs(queue, services, stalled_s)


async def requeue_jobs(queue: procrastinate.App, services: Services, stalled_s: float) -> None:
    """Requeue jobs whose worker has sent no heartbeat for `stalled_s` seconds, and jobs that are in no queue."""
    for job in await queue.job_manager.get_stalled_jobs(seconds_since_heartbeat=stalled_s):
        with contextlib.suppress(ConnectorException):  # another worker has requeued it
            await queue.job_manager.retry_job(job)
    async with services.transactions.begin() as store:
        await job_lifecycle.requeue(store)


async def _work(queue: procrastinate.App, queue_name: str, stalled_s: float) -> None:
    await queue.run_worker_async(
        queues=[queue_name],
        name=queue_name,
        concurrency=CONCURRENCY[queue_name],
        install_signal_handlers=False,
        update_heartbeat_interval=stalled_s / 4,
        stalled_worker_timeout=stalled_s,
        fetch_job_polling_interval=2.0,  # requeued jobs come without a notification
        shutdown_graceful_timeout=0.0,  # running jobs are requeued at once, and resume from their checkpoint
        delete_jobs="successful",
    )


def _stop_signals() -> asyncio.Event:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def _write_ready_file(file: Path | None) -> None:
    if file is not None:
        file.touch()
