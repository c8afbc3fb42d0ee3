"""Fine-tunes as rows."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from domain.artifacts import Artifact
from domain.datasets import UNFINISHED
from domain.finetunes import Finetune, FinetuneFilter, training_already_running_error
from domain.ids import Noun
from domain.reading import Parent
from domain.texts import replace_invalid_characters
from infra.db import gateway
from infra.db.columns import column_names, record_columns
from infra.db.reading import Parents, Reader, Row
from infra.db.tables import finetunes, projects

COLUMNS = record_columns(Finetune, finetunes)
ONE_RUNNING_INDEX = "uq_finetunes_project_id_running"


class SqlFinetunes(Reader[Finetune]):
    """The fine-tunes of one transaction, newest first."""

    name = "finetunes"
    noun = Noun.FINETUNE
    parents: ClassVar[Parents] = {
        Parent.PROJECT: finetunes.c.project_id,
        Parent.DATASET: finetunes.c.dataset_id,
    }
    source = finetunes.outerjoin(projects, finetunes.c.project_id == projects.c.id)
    columns = COLUMNS
    projectable = column_names(COLUMNS)
    order = (finetunes.c.id,)
    project = finetunes.c.project_id

    def build(self, row: Row) -> Finetune:
        return Finetune(**row)

    def matching(self, where: FinetuneFilter) -> list[ColumnElement[bool]]:
        return [] if where.status is None else [finetunes.c.status == where.status]

    async def add(self, finetune: Finetune) -> None:
        """Add a fine-tune; raises `Conflict` while another of the project is PLANNING or RUNNING."""
        values = {field.name: getattr(finetune, field.name) for field in fields(finetune)}
        values.pop("owner_id")
        try:
            await self._session.execute(insert(finetunes).values(**_storable(values)))
        except IntegrityError as error:
            if ONE_RUNNING_INDEX in str(error.orig):
                raise training_already_running_error(None) from error
            raise

    async def change(self, id: str, values: Mapping[str, Any]) -> None:
        changed = update(finetunes).where(finetunes.c.id == id)
        await self._session.execute(changed.values(**_storable(values)))

    async def set_artifacts(self, id: str, artifacts: Sequence[Artifact]) -> None:
        """Store which files are in storage; from then on deployments can serve the model."""
        await self.change(id, {"artifacts": tuple(artifacts)})
        await gateway.notify(self._session)

    async def lock(self, id: str, *, viewer_id: str) -> Finetune | None:
        """Read a fine-tune and lock its row until the transaction ends."""
        statement = self.rows(viewer_id).where(finetunes.c.id == id).with_for_update(of=finetunes)
        return (await self._by_id(statement)).get(id)

    async def delete(self, id: str) -> None:
        """Delete the row with its curve; the items stay with their dataset."""
        await self._session.execute(delete(finetunes).where(finetunes.c.id == id))
        await gateway.notify(self._session)

    async def by_model_name(self, project_id: str, model_name: str, *, viewer_id: str) -> Finetune | None:
        """The fine-tune that a project knows by this name."""
        named = (finetunes.c.project_id == project_id, finetunes.c.model_name == model_name)
        found = await self._by_id(self.rows(viewer_id).where(*named))
        return next(iter(found.values()), None)

    async def owner_of(self, id: str) -> str | None:
        """The id of a fine-tune's owner, without a viewer; None when the fine-tune does not exist."""
        statement = select(projects.c.owner_id).select_from(self.source).where(finetunes.c.id == id)
        return await self._session.scalar(statement)

    async def running_in(self, project_id: str) -> str | None:
        """The id of the project's fine-tune that is PLANNING or RUNNING."""
        running = finetunes.c.status.in_(UNFINISHED)
        statement = select(finetunes.c.id).where(finetunes.c.project_id == project_id, running)
        return await self._session.scalar(statement)


def _storable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Columns as PostgreSQL can store them: a model may well answer with a NUL."""
    return {
        name: replace_invalid_characters(value) if type(value) is str else value
        for name, value in values.items()
    }
