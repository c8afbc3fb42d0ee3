"""Base models as rows, which every user sees."""

from dataclasses import asdict

from sqlalchemy import ColumnElement, select, true
from sqlalchemy.dialects.postgresql import insert

from domain.base_models import BaseModel
from domain.ids import Noun
from infra.db.columns import column_names
from infra.db.reading import Reader, Row
from infra.db.tables import base_models


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

    async def by_model_id(self, model_id: str) -> BaseModel | None:
        """The model that users know by this name."""
        found = await self._fetch(select(base_models).where(base_models.c.model_id == model_id))
        return BaseModel(**found[0]) if found else None

    async def upsert(self, models: tuple[BaseModel, ...]) -> None:
        """Add the catalog, or bring it up to date."""
        for model in models:
            values = asdict(model)
            upserted = insert(base_models).values(**values)
            await self._session.execute(upserted.on_conflict_do_update(index_elements=["id"], set_=values))
