"""Training curves as rows."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import ClassVar

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from domain.reading import Parent
from domain.training_points import TrainingPoint
from infra.db.frozen_items import OF_PROJECT
from infra.db.reading import Parents, Reader, Row
from infra.db.tables import finetunes, projects, training_points


class SqlTrainingPoints(Reader[TrainingPoint]):
    """The curves of fine-tunes, oldest point first."""

    name = "points"
    parents: ClassVar[Parents] = {Parent.FINETUNE: training_points.c.finetune_id}
    source = training_points.outerjoin(finetunes).outerjoin(projects, OF_PROJECT)
    columns = tuple(training_points.c)
    order = (training_points.c.step,)
    newest_first = False

    def build(self, row: Row) -> TrainingPoint:
        return TrainingPoint(**{field.name: row[field.name] for field in fields(TrainingPoint)})

    async def upsert(self, finetune_id: str, points: Sequence[TrainingPoint]) -> None:
        """Add points; where the step exists already, new measurements replace the old ones."""
        if not points:
            return
        rows = [asdict(point) | {"finetune_id": finetune_id} for point in by_step(points)]
        added = insert(training_points).values(rows)
        merged = {
            column.name: func.coalesce(added.excluded[column.name], column)
            for column in training_points.c
            if not column.primary_key
        }
        await self._session.execute(
            added.on_conflict_do_update(index_elements=["finetune_id", "step"], set_=merged)
        )


def by_step(points: Iterable[TrainingPoint]) -> list[TrainingPoint]:
    """One point for each step, with all its measurements: first a loss, then an evaluation."""
    found: dict[int, TrainingPoint] = {}
    for point in points:
        known = asdict(found[point.step]) if point.step in found else {}
        new = {name: value for name, value in asdict(point).items() if value is not None}
        found[point.step] = TrainingPoint(**(known | new)) if known else point
    return list(found.values())
