"""Projects as rows, with their stages and counts."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Table, case, delete, exists, func, insert, literal, select, update

from domain.datasets import UNFINISHED, RunStatus
from domain.deployments import DeploymentStatus
from domain.documents import DocumentStatus
from domain.ids import Noun
from domain.jobs import JobStatus
from domain.projects import Project, ProjectFilter, ProjectStage, ProjectStats
from domain.storage_keys import dataset_prefix, document_prefix, finetune_prefix
from infra.db import gateway, job_events
from infra.db.columns import column_names, record_columns
from infra.db.engine import extend_statement_timeout
from infra.db.reading import Reader, Row
from infra.db.tables import datasets, deployments, documents, finetunes, items, jobs, projects

COLUMNS = record_columns(Project, projects)


def _has(table: Any, *conditions: Any) -> ColumnElement[bool]:
    return exists().where(table.c.project_id == projects.c.id, *conditions).correlate(projects)


LAST_JOB_STATUS = (
    select(jobs.c.status)
    .where(jobs.c.project_id == projects.c.id)
    .order_by(jobs.c.id.desc())
    .limit(1)
    .correlate(projects)
    .scalar_subquery()
)

STAGE = case(
    (
        _has(finetunes, finetunes.c.status.in_(UNFINISHED)),
        ProjectStage.TRAINING.value,
    ),
    (_has(datasets, datasets.c.status == RunStatus.RUNNING), ProjectStage.GENERATING.value),
    (LAST_JOB_STATUS == JobStatus.FAILED, ProjectStage.FAILED.value),
    (_has(deployments, deployments.c.status == DeploymentStatus.READY), ProjectStage.DEPLOYED.value),
    (_has(finetunes, finetunes.c.status == RunStatus.DONE), ProjectStage.TRAINED.value),
    (_has(datasets, datasets.c.status == RunStatus.DONE), ProjectStage.READY_TO_TRAIN.value),
    (_has(documents, documents.c.status == DocumentStatus.READY), ProjectStage.DOCUMENTS_READY.value),
    else_=literal(ProjectStage.DRAFT.value),
)
"""Running work first, then whether the last job failed, then the furthest stage that was reached."""


def _count(table: Any, *conditions: Any) -> Any:
    counted = select(func.count()).select_from(table).where(table.c.project_id == projects.c.id, *conditions)
    return counted.correlate(projects).scalar_subquery()


STATS = {
    "document_count": _count(documents),
    "dataset_count": _count(datasets, datasets.c.status != RunStatus.DELETED),
    "finetune_count": _count(finetunes),
    "deployment_count": _count(deployments),
    "item_count": select(func.count())
    .select_from(items.join(datasets))
    .where(
        datasets.c.project_id == projects.c.id,
        datasets.c.status != RunStatus.DELETED,
        ~items.c.deleted,
        items.c.corrected_by_id.is_(None),
    )
    .correlate(projects)
    .scalar_subquery(),
    "last_job_status": LAST_JOB_STATUS,
}


VERSIONS = {Noun.DATASET: projects.c.dataset_versions, Noun.FINETUNE: projects.c.finetune_versions}
"""The counters of versions."""


class SqlProjects(Reader[Project]):
    """The projects of one transaction, newest first."""

    name = "projects"
    noun = Noun.PROJECT
    source = projects
    columns = COLUMNS
    projectable = column_names(COLUMNS)
    order = (projects.c.id,)

    def build(self, row: Row) -> Project:
        return Project(**row)

    def matching(self, where: ProjectFilter) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if where.status is not None:
            found.append(projects.c.status == where.status)
        if where.stage is not None:
            found.append(STAGE == where.stage.value)  # noqa: SIM300 - a column, not a constant
        if where.name_contains:
            found.append(projects.c.name.icontains(where.name_contains, autoescape=True))
        return found

    async def add(self, project: Project) -> None:
        await self._session.execute(insert(projects).values(**asdict(project)))

    async def change(self, id: str, values: Mapping[str, Any]) -> None:
        await self._session.execute(update(projects).where(projects.c.id == id).values(**values))

    async def lock(self, id: str, *, viewer_id: str) -> Project | None:
        statement = self.rows(viewer_id).where(projects.c.id == id).with_for_update(of=projects)
        return (await self._by_id(statement)).get(id)

    async def next_version(self, id: str, noun: Noun) -> int:
        counter = VERSIONS[noun]
        counted = (
            update(projects).where(projects.c.id == id).values({counter: counter + 1}).returning(counter)
        )
        return int((await self._session.execute(counted)).scalar_one())

    async def delete(self, id: str) -> None:
        """Delete the row and, by ON DELETE CASCADE, everything under it; notifies workers and gateways."""
        running = select(jobs.c.id).where(jobs.c.project_id == id, jobs.c.status == JobStatus.RUNNING)
        for job_id in (await self._session.scalars(running)).all():
            await self._session.execute(select(func.pg_notify(job_events.CHANNEL, job_id)))
        await gateway.notify(self._session)
        await extend_statement_timeout(self._session)
        await self._session.execute(delete(projects).where(projects.c.id == id))

    async def stats(self, ids: list[str], *, viewer_id: str) -> dict[str, ProjectStats]:
        counts = (value.label(name) for name, value in STATS.items())
        statement = select(projects.c.id, *counts).where(projects.c.id.in_(ids), self.visible(viewer_id))
        found = (await self._session.execute(statement)).mappings()
        return {row["id"]: ProjectStats(**{name: row[name] for name in STATS}) for row in found}

    async def stages(self, ids: list[str], *, viewer_id: str) -> dict[str, ProjectStage]:
        statement = select(projects.c.id, STAGE).where(projects.c.id.in_(ids), self.visible(viewer_id))
        return {id: ProjectStage(stage) for id, stage in await self._session.execute(statement)}

    async def file_prefixes(self, id: str) -> list[str]:
        owner = select(projects.c.owner_id).where(projects.c.id == id)
        owner_id = (await self._session.execute(owner)).scalar_one()
        return [
            *(document_prefix(document_id) for document_id in await self._ids_in(id, documents)),
            *(dataset_prefix(owner_id, dataset_id) for dataset_id in await self._ids_in(id, datasets)),
            *(finetune_prefix(finetune_id) for finetune_id in await self._ids_in(id, finetunes)),
        ]

    async def model_ids(self, id: str) -> list[str]:
        return await self._ids_in(id, finetunes)

    async def _ids_in(self, project_id: str, table: Table) -> list[str]:
        return list(await self._session.scalars(select(table.c.id).where(table.c.project_id == project_id)))
