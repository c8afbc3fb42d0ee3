"""Used idempotency keys as rows."""

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.idempotency import KEY_TTL_S
from infra.db.tables import idempotency_keys as keys


class SqlIdempotency:
    """The keys of one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def claim(
        self, user_id: str, operation: str, key: str, fingerprint: str
    ) -> tuple[str, str | None] | None:
        """Claim a key; where it was used before, returns the fingerprint of that call and the id of its result.

        A second claimant waits here until the first one's transaction ends.
        """
        claimed = insert(keys).values(user_id=user_id, operation=operation, key=key, fingerprint=fingerprint)
        used = select(keys.c.fingerprint, keys.c.result_id).where(_is_key(user_id, operation, key))
        while await self._session.scalar(claimed.on_conflict_do_nothing().returning(keys.c.key)) is None:
            if found := (await self._session.execute(used)).one_or_none():
                return found  # else it expired between the two statements
        return None

    async def record_result(self, user_id: str, operation: str, key: str, result_id: str) -> None:
        """Store the id of what the call made."""
        await self._session.execute(
            update(keys).where(_is_key(user_id, operation, key)).values(result_id=result_id)
        )

    async def expire(self) -> None:
        old = keys.c.created_at < func.now() - timedelta(seconds=KEY_TTL_S)
        await self._session.execute(delete(keys).where(old))


def _is_key(user_id: str, operation: str, key: str) -> ColumnElement[bool]:
    return and_(keys.c.user_id == user_id, keys.c.operation == operation, keys.c.key == key)
