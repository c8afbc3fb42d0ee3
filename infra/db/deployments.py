"""Deployments as rows. Every change notifies the gateways, in the same transaction."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from domain.deployments import Deployment, DeploymentFilter
from domain.ids import Noun
from domain.reading import Parent
from infra.db import gateway
from infra.db.columns import column_names, record_columns
from infra.db.reading import Parents, Reader, Row
from infra.db.tables import deployments, projects

COLUMNS = record_columns(Deployment, deployments)


class SqlDeployments(Reader[Deployment]):
    """The deployments of one transaction, newest first."""

    name = "deployments"
    noun = Noun.DEPLOYMENT
    parents: ClassVar[Parents] = {
        Parent.PROJECT: deployments.c.project_id,
        Parent.FINETUNE: deployments.c.finetune_id,
    }
    source = deployments.outerjoin(projects)
    columns = COLUMNS
    projectable = column_names(COLUMNS)
    order = (deployments.c.id,)
    project = deployments.c.project_id

    def build(self, row: Row) -> Deployment:
        return Deployment(**row)

    def matching(self, where: DeploymentFilter) -> list[ColumnElement[bool]]:
        return [] if where.status is None else [deployments.c.status == where.status]

    async def add(self, deployment: Deployment) -> bool:
        """False when the project has a deployment of that model name."""
        values = asdict(deployment)
        values.pop("owner_id")
        added = insert(deployments).values(**values)
        added = added.on_conflict_do_nothing(index_elements=["project_id", "model_name"])
        added_id = await self._session.scalar(added.returning(deployments.c.id))
        await gateway.notify(self._session)
        return added_id is not None

    async def change(self, id: str, values: Mapping[str, Any]) -> None:
        await self._session.execute(update(deployments).where(deployments.c.id == id).values(**values))
        await gateway.notify(self._session)

    async def delete(self, id: str) -> None:
        """Delete the row with its keys and logs."""
        await self._session.execute(delete(deployments).where(deployments.c.id == id))
        await gateway.notify(self._session)

    async def of_finetune(self, finetune_id: str) -> list[str]:
        """The ids of the deployments of a fine-tune."""
        found = select(deployments.c.id).where(deployments.c.finetune_id == finetune_id)
        return list(await self._session.scalars(found))
