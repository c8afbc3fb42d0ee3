"""How soon a worker begins a job after its commit, against Procrastinate by itself on the same PostgreSQL.

Ours is an import of a missing document: the moment that counts is the RUNNING event, which the database dates when
the attempt starts. The peer is a task that writes the database's time and nothing else. Both are enqueued by this
process inside a transaction and taken by one worker process that serves both; the two alternate.
"""

import asyncio
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.local.servers import servers
from app.migrations import migrate, store_catalog
from app.settings import Settings, read_settings
from app.wiring import Wiring, wire
from app.worker import register
from benchmarks.machine import PYTHON_PATH
from domain.accounts import new_user
from domain.datasets import Dataset
from domain.jobs import JobType, new_job
from domain.use_cases import accounts, datasets, projects
from infra.child_processes import module_command
from infra.db.engine import driver_connection

ROUNDS = 200
PEER = "benchmarks.peer"


async def worker() -> None:
    """One worker for both, as `luthier worker` runs it."""
    async with wire(read_settings()) as wiring:
        register(wiring.queue, wiring.services, stalled_s=20)

        @wiring.queue.task(name=PEER)
        async def peer(number: int) -> None:
            async with wiring.engine.begin() as connection:
                await connection.execute(
                    text("insert into peer values (:n, clock_timestamp())"), {"n": number}
                )

        async with wiring.queue.open_async():
            print("ready", flush=True)
            await wiring.queue.run_worker_async(concurrency=8, queues=["default"], delete_jobs="successful")


async def measure(settings: Settings) -> tuple[list[float], list[float]]:
    """Milliseconds from commit to start, of Luthier's jobs and of the peer's."""
    async with wire(settings) as wiring:
        async with wiring.engine.begin() as connection:
            await connection.execute(text("create table peer (number int primary key, at timestamptz)"))
        dataset = await insert_rows(wiring)
        luthier_ms, peer_ms = [], []
        for number in range(ROUNDS):
            luthier_ms.append(await luthier_job(wiring, dataset))
            peer_ms.append(await procrastinate_task(wiring, number))
        return luthier_ms[10:], peer_ms[10:]  # the first ones warm up


async def insert_rows(wiring: Wiring) -> Dataset:
    now = datetime.now(UTC)
    async with wiring.services.transactions.begin() as store:
        user = await accounts.register(store, new_user("a@example.org", "A", "-", now=now))
        project = await projects.create(store, {"name": "p"}, viewer_id=user.id, now=now)
        fields = {"input_field": "q", "output_field": "a", "field_names": ("q", "a")}
        return await datasets.create(store, project.id, fields, viewer_id=user.id, now=now)


async def luthier_job(wiring: Wiring, dataset: Dataset) -> float:
    job = new_job(
        JobType.DATASET_IMPORT,
        project_id=dataset.project_id,
        owner_id=dataset.owner_id,
        subject_id=dataset.id,
        now=datetime.now(UTC),
        arguments={"document_id": "doc_none", "format": "CSV"},
    )
    async with wiring.services.transactions.begin() as store:
        await store.jobs.add(job)
        await store.jobs.enqueue(job)
    committed = datetime.now(UTC)
    async for recorded in wiring.services.job_streams.events(job.id, after=1):
        started = recorded.at
        break
    async for _ in wiring.services.job_streams.events(job.id):  # to its end, so that jobs do not overlap
        pass
    return (started - committed).total_seconds() * 1000


async def procrastinate_task(wiring: Wiring, number: int) -> float:
    async with AsyncSession(wiring.engine) as session, session.begin():
        task = wiring.queue.configure_task(
            PEER, allow_unknown=True, queue="default", connection=await driver_connection(session)
        )
        await task.defer_async(number=number)
    committed = datetime.now(UTC)
    while True:
        async with wiring.engine.connect() as connection:
            started = await connection.scalar(text("select at from peer where number = :n"), {"n": number})
        if started is not None:
            return float((started - committed).total_seconds() * 1000)


def row(name: str, values: list[float]) -> str:
    """A line of the table."""
    p95 = statistics.quantiles(values, n=20)[-1]
    return f"| {name} | {statistics.median(values):.2f} | {p95:.2f} | {max(values):.2f} |"


async def main() -> None:
    """Start what is needed, measure, print the table."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        async with servers(Path(folder) / "home") as variables:
            await asyncio.to_thread(migrate, variables["DATABASE_URL"])
            await store_catalog(variables["DATABASE_URL"])
            settings = read_settings(
                **{name.lower(): value for name, value in variables.items()},
                luthier_home=Path(folder),
                luthier_runtime_url="http://127.0.0.1:9",
                luthier_runtime_token="none",
            )
            luthier_ms, peer_ms = await with_worker(settings, variables | {"LUTHIER_HOME": folder})
    ratio = statistics.median(luthier_ms) / statistics.median(peer_ms)
    print("| commit → start, ms | median | p95 | max |\n|---|---|---|---|")
    print(row("Luthier job", luthier_ms))
    print(row("Procrastinate task", peer_ms))
    print(
        f"\nRatio of the medians: {ratio:.2f}; {sum(value < 200 for value in luthier_ms)} of {len(luthier_ms)} within 200 ms."
    )


async def with_worker(settings: Settings, variables: dict[str, str]) -> tuple[list[float], list[float]]:
    """Measure while a worker process runs."""
    environment = (
        variables
        | PYTHON_PATH
        | {"LUTHIER_RUNTIME_URL": "http://127.0.0.1:9", "LUTHIER_RUNTIME_TOKEN": "none"}
    )
    process = await asyncio.create_subprocess_exec(
        *module_command("benchmarks.pickup", "worker"), env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        return await measure(settings)
    finally:
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(worker() if "worker" in sys.argv else main())
