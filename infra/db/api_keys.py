"""API keys as rows: digests, never secrets. Every change notifies the gateways."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, insert, update

from domain.api_keys import ApiKey
from domain.ids import Noun
from domain.reading import Parent
from infra.db import gateway
from infra.db.columns import column_names
from infra.db.reading import Parents, Reader, Row
from infra.db.tables import api_keys


class SqlApiKeys(Reader[ApiKey]):
    """The keys of one transaction, newest first."""

    name = "api_keys"
    noun = Noun.API_KEY
    parents: ClassVar[Parents] = {Parent.DEPLOYMENT: api_keys.c.deployment_id}
    source = api_keys
    columns = tuple(api_keys.c)
    projectable = column_names(columns)
    order = (api_keys.c.id,)

    def build(self, row: Row) -> ApiKey:
        return ApiKey(**row)

    def visible(self, viewer_id: str) -> ColumnElement[bool]:
        """The viewer's own: an account's key has no project."""
        return api_keys.c.owner_id == viewer_id

    def parent_visible(
        self,
        viewer_id: str,
        parent_kind: Parent,  # noqa: ARG002
        parent_id: ColumnElement[Any],  # noqa: ARG002
    ) -> ColumnElement[bool]:
        """Whether the viewer owns the key, whatever its deployment."""
        return self.visible(viewer_id)

    async def add(self, key: ApiKey) -> None:
        await self._session.execute(insert(api_keys).values(**asdict(key)))
        await gateway.notify(self._session)

    async def revoke(self, id: str, *, now: datetime) -> None:
        """Refuse a key from now on."""
        revoked = update(api_keys).where(api_keys.c.id == id, api_keys.c.revoked_at.is_(None))
        await self._session.execute(revoked.values(revoked_at=now))
        await gateway.notify(self._session)
