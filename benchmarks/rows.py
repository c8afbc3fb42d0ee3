"""The rows that the API is measured on, written in bulk."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import ids
from domain.datasets import Dataset, RunStatus
from domain.ids import Noun
from domain.jobs import Job, JobStatus, JobType
from domain.projects import Project
from infra.db.tables import datasets, jobs, projects

PROJECTS, DATASETS = 150, 12
"""More than one page of each."""

START = datetime(2026, 1, 1, 9, 30, 15, 123456, tzinfo=UTC)


async def insert_rows(engine: AsyncEngine, owners: Iterable[str]) -> None:
    """For each owner, projects with datasets, and a finished job of each project."""
    async with engine.begin() as connection:
        for owner in owners:
            made = [_project(owner, number) for number in range(PROJECTS)]
            await connection.execute(insert(projects), [asdict(project) for project in made])
            children = [_dataset(project, number) for project in made for number in range(DATASETS)]
            await connection.execute(insert(datasets), _columns(datasets, children))
            done = [_job(project, number) for number, project in enumerate(made)]
            await connection.execute(insert(jobs), _columns(jobs, done))
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text("vacuum analyze"))


async def insert_running_jobs(engine: AsyncEngine, owner: str, count: int) -> list[Job]:
    """Jobs that a worker has started, each of a project of its own."""
    made = [_project(owner, number) for number in range(count)]
    running = {"status": JobStatus.RUNNING, "progress": 0.0, "finished_at": None}
    under_way = [replace(_job(project, number), **running) for number, project in enumerate(made)]
    async with engine.begin() as connection:
        await connection.execute(insert(projects), _columns(projects, made))
        await connection.execute(insert(jobs), _columns(jobs, under_way))
    return under_way


def _columns(table: Table, made: Iterable[Any]) -> list[dict[str, Any]]:
    """The rows of domain objects: the owner of most is their project's."""
    return [{name: value for name, value in asdict(record).items() if name in table.c} for record in made]


def _project(owner: str, number: int) -> Project:
    at = START + timedelta(minutes=number)
    name, about = f"Support tickets, part {number}", "Answers that our people gave, as examples."
    return Project(
        id=ids.new(Noun.PROJECT), owner_id=owner, name=name, description=about, created_at=at, updated_at=at
    )


def _dataset(project: Project, number: int) -> Dataset:
    return Dataset(
        id=ids.new(Noun.DATASET),
        project_id=project.id,
        owner_id=project.owner_id,
        version=number + 1,
        name=f"{project.name}, version {number + 1}",
        status=RunStatus.DONE,
        input_field="question",
        output_field="answer",
        field_names=("question", "answer"),
        created_at=project.created_at,
        updated_at=project.created_at,
    )


def _job(project: Project, number: int) -> Job:
    return Job(
        id=ids.new(Noun.JOB),
        project_id=project.id,
        owner_id=project.owner_id,
        type=JobType.DATASET_IMPORT,
        status=JobStatus.SUCCESS,
        subject_id=ids.new(Noun.DATASET),
        progress=1.0,
        message=f"{number + 1:,} rows read",
        attempt=1,
        created_at=project.created_at,
        started_at=project.created_at,
        finished_at=project.created_at + timedelta(seconds=1 + number, microseconds=number),
    )
