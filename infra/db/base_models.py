"""Base models as rows, which every user sees."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select, text, true, update
from sqlalchemy.dialects.postgresql import insert

from domain.base_models import BaseModel, BaseModelFilter, max_parameters_4bit
from domain.datasets import UNFINISHED
from domain.ids import Noun
from infra.db.columns import column_names
from infra.db.reading import Reader, Row
from infra.db.tables import base_models, finetunes, projects


class SqlBaseModels(Reader[BaseModel]):
    """The base models of one transaction, by name."""

    name = "base_models"
    noun = Noun.BASE_MODEL
    source = base_models
    columns = tuple(base_models.c)
    projectable = column_names(columns)
    order = (base_models.c.name, base_models.c.id)
    newest_first = False

    def build(self, row: Row) -> BaseModel:
        return BaseModel(**row)

    def visible(self, viewer_id: str) -> ColumnElement[bool]:  # noqa: ARG002 - shared by all
        """True for every row: base models belong to no user."""
        return true()

    def matching(self, where: BaseModelFilter) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if where.model_type is not None:
            found.append(base_models.c.model_type == where.model_type)
        if where.source is not None:
            found.append(base_models.c.source == where.source)
        if where.max_vram_gb is not None:
            found.append(base_models.c.num_parameters <= max_parameters_4bit(where.max_vram_gb))
        return found

    async def by_model_id(self, model_id: str) -> BaseModel | None:
        """The model that users know by this name."""
        found = await self._fetch(select(base_models).where(base_models.c.model_id == model_id))
        return BaseModel(**found[0]) if found else None

    async def all(self) -> list[BaseModel]:
        return [BaseModel(**row) for row in await self._fetch(select(base_models).order_by(*self.order))]

    async def lock_catalog(self) -> list[BaseModel]:
        await self._session.execute(text("lock table base_models in share row exclusive mode"))
        return [BaseModel(**row) for row in await self._fetch(select(base_models))]

    async def lock_by_model_id(self, new: BaseModel) -> tuple[BaseModel, bool]:
        added = insert(base_models).values(**asdict(new)).on_conflict_do_nothing()
        was_added = await self._session.scalar(added.returning(base_models.c.id)) is not None
        locked = select(base_models).where(base_models.c.model_id == new.model_id).with_for_update()
        [row] = await self._fetch(locked)
        return BaseModel(**row), was_added

    async def put(self, model: BaseModel) -> None:
        values = asdict(model)
        upserted = insert(base_models).values(**values)
        await self._session.execute(upserted.on_conflict_do_update(index_elements=["id"], set_=values))

    async def used(self, ids: Collection[str]) -> set[str]:
        referred = [
            select(table.c.base_model_id).where(table.c.base_model_id.in_(ids))
            for table in (projects, finetunes)
        ]
        return set((await self._session.scalars(referred[0].union(referred[1]))).all())

    async def in_training(self, id: str) -> bool:
        running = select(finetunes.c.id).where(
            finetunes.c.base_model_id == id, finetunes.c.status.in_(UNFINISHED)
        )
        return (await self._session.execute(running.limit(1))).first() is not None

    async def delete(self, ids: Collection[str]) -> None:
        await self._session.execute(delete(base_models).where(base_models.c.id.in_(ids)))

    async def add(self, model: BaseModel) -> bool:
        added = insert(base_models).values(**asdict(model)).on_conflict_do_nothing()
        return await self._session.scalar(added.returning(base_models.c.id)) is not None

    async def stored(self) -> list[BaseModel]:
        stored = select(base_models).where(base_models.c.size_bytes.is_not(None))
        rows = await self._fetch(stored.order_by(base_models.c.last_used_at.asc().nulls_first()))
        return [BaseModel(**row) for row in rows]

    async def record_files(self, id: str, files: Mapping[str, Any]) -> None:
        await self._session.execute(update(base_models).where(base_models.c.id == id).values(**files))

    async def record_use(self, id: str, at: datetime) -> None:
        await self._session.execute(update(base_models).where(base_models.c.id == id).values(last_used_at=at))

    async def add_warnings(self, id: str, warnings: Collection[str]) -> None:
        locked = select(base_models.c.warnings).where(base_models.c.id == id).with_for_update()
        before: tuple[str, ...] = await self._session.scalar(locked) or ()
        added = tuple(warning for warning in warnings if warning not in before)
        values = {"warnings": (*before, *added)}
        await self._session.execute(update(base_models).where(base_models.c.id == id).values(**values))

    async def lock_users(self, id: str) -> list[str]:
        await self._session.execute(select(base_models.c.id).where(base_models.c.id == id).with_for_update())
        names = select(finetunes.c.model_name).where(finetunes.c.base_model_id == id)
        return list((await self._session.scalars(names.order_by(finetunes.c.id))).all())
