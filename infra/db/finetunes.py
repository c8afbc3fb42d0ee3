"""Fine-tunes as rows; what is a record of its own is JSON in them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from domain.datasets import RunStatus
from domain.finetunes import (
    Artifact,
    ArtifactKind,
    Finetune,
    FinetuneFilter,
    Hyperparameters,
    InferenceSample,
    ParityReport,
    TrainingMetrics,
    already_running,
)
from domain.ids import Noun
from domain.reading import Parent
from infra.db import gateway
from infra.db.reading import Reader, Row, names
from infra.db.tables import finetunes, projects

FIELDS = [*(finetunes.c[it.name] for it in fields(Finetune) if it.name != "owner_id"), projects.c.owner_id]
RUNNING = "uq_finetunes_project_id_running"


def _hyperparameters(it: dict[str, Any]) -> Hyperparameters:
    return Hyperparameters(**it | {"target_modules": tuple(it["target_modules"])})


def _artifact(it: dict[str, Any]) -> Artifact:
    return Artifact(**it | {"kind": ArtifactKind(it["kind"])})


PARTS: Mapping[str, Callable[[Any], Any]] = {
    "hyperparameters": _hyperparameters,
    "metrics": lambda it: TrainingMetrics(**it),
    "inference_samples": lambda them: tuple(InferenceSample(**it) for it in them),
    "parity": lambda it: ParityReport(**it),
    "artifacts": lambda them: tuple(_artifact(it) for it in them),
    "warnings": tuple,
}
"""How what is kept in a row becomes a record again."""


class SqlFinetunes(Reader[Finetune]):
    """The fine-tunes of one transaction, newest first."""

    name = "finetunes"
    noun = Noun.FINETUNE
    parents: ClassVar[Any] = {Parent.PROJECT: finetunes.c.project_id, Parent.DATASET: finetunes.c.dataset_id}
    source = finetunes.outerjoin(projects, finetunes.c.project_id == projects.c.id)
    columns = FIELDS
    alone = names(FIELDS, *PARTS)
    order: ClassVar[Any] = (finetunes.c.id,)
    project = finetunes.c.project_id

    def build(self, row: Row) -> Finetune:
        """A domain object from one row."""
        parts = {name: load(row[name]) for name, load in PARTS.items() if row[name] is not None}
        return Finetune(**{**row, **parts})

    def matching(self, where: FinetuneFilter) -> list[ColumnElement[bool]]:
        """The conditions of a filter."""
        return [] if where.status is None else [finetunes.c.status == where.status]

    async def add(self, finetune: Finetune) -> None:
        """Add a fine-tune; raises `Conflict` while another of the project's is planned or under way."""
        values = {it.name: dump(getattr(finetune, it.name)) for it in fields(finetune)}
        values.pop("owner_id")
        try:
            await self._session.execute(insert(finetunes).values(**values))
        except IntegrityError as error:
            if RUNNING in str(error.orig):
                raise already_running(None) from error
            raise

    async def change(self, id: str, values: Mapping[str, Any]) -> None:
        """Change some columns."""
        dumped = {name: dump(value) for name, value in values.items()}
        await self._session.execute(update(finetunes).where(finetunes.c.id == id).values(**dumped))

    async def set_artifacts(self, id: str, artifacts: Sequence[Artifact]) -> None:
        """Remember the files that are in storage; from then on the model may be asked."""
        await self.change(id, {"artifacts": artifacts})
        await gateway.notify(self._session)

    async def lock(self, id: str, *, viewer_id: str) -> Finetune | None:
        """Read a fine-tune and hold it until the transaction ends."""
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
        """Whose it is; None when there is none."""
        statement = select(projects.c.owner_id).select_from(self.source).where(finetunes.c.id == id)
        return await self._session.scalar(statement)

    async def running_in(self, project_id: str) -> str | None:
        """The fine-tune of a project that is planned or under way."""
        running = finetunes.c.status.in_([RunStatus.PLANNING, RunStatus.RUNNING])
        statement = select(finetunes.c.id).where(finetunes.c.project_id == project_id, running)
        return await self._session.scalar(statement)


def dump(value: Any) -> Any:
    """What is kept of a value. PostgreSQL's texts hold no NUL, which a model may well answer."""
    if is_dataclass(value) and not isinstance(value, type):
        return dump(asdict(value))
    if isinstance(value, dict):
        return {name: dump(it) for name, it in value.items()}
    if isinstance(value, (list, tuple)):
        return [dump(it) for it in value]
    return value.replace("\x00", "\ufffd") if type(value) is str else value
