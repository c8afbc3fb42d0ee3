"""Used idempotency keys as rows."""

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.idempotency import KEPT_S
from infra.db.tables import idempotency_keys as keys


class SqlIdempotency:
    """The keys of one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def claim(
        self, user_id: str, operation: str, key: str, fingerprint: str
    ) -> tuple[str, str | None] | None:
        """None when the key is ours now. A second claimant waits here until the first one's transaction ends."""
        claimed = insert(keys).values(user_id=user_id, operation=operation, key=key, fingerprint=fingerprint)
        used = select(keys.c.fingerprint, keys.c.result_id).where(_at(user_id, operation, key))
        while await self._session.scalar(claimed.on_conflict_do_nothing().returning(keys.c.key)) is None:
            if found := (await self._session.execute(used)).one_or_none():
                return found  # else it was old, and forgotten between the two
        return None

    async def remember(self, user_id: str, operation: str, key: str, result_id: str) -> None:
        """Remember what the call made."""
        await self._session.execute(
            update(keys).where(_at(user_id, operation, key)).values(result_id=result_id)
        )

    async def expire(self) -> None:
        """Forget old keys."""
        old = keys.c.created_at < func.now() - timedelta(seconds=KEPT_S)
        await self._session.execute(delete(keys).where(old))


def _at(user_id: str, operation: str, key: str) -> ColumnElement[bool]:
    return and_(keys.c.user_id == user_id, keys.c.operation == operation, keys.c.key == key)
