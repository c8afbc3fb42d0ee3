"""Resolvers of API keys."""

from datetime import datetime

from domain.api_keys import ApiKey
from domain.reading import require
from domain.store import ReadStore
from domain.use_cases import api_keys, idempotency
from resolvers.context import Context


async def create(
    context: Context, deployment_id: str | None, name: str, expires_at: datetime | None, key: str | None
) -> tuple[ApiKey, str | None]:
    """Create a key; returns it with its secret, and for a repeated idempotency key without it."""
    viewer = context.viewer_id
    async with context.transactions.begin() as store:
        return await idempotency.run_idempotently(
            store,
            "createApiKey",
            key,
            [deployment_id, name, expires_at],
            create=lambda: api_keys.create(
                store, deployment_id, name, expires_at, viewer_id=viewer, now=context.now()
            ),
            replay=lambda id: _replay(store, id, viewer),
            result_id=lambda created: created[0].id,
            viewer_id=viewer,
        )


async def _replay(store: ReadStore, id: str, viewer_id: str) -> tuple[ApiKey, None]:
    return await require(store.api_keys, id, viewer_id=viewer_id), None


async def revoke(context: Context, id: str) -> ApiKey:
    """Revoke a key."""
    async with context.transactions.begin() as store:
        return await api_keys.revoke(store, id, viewer_id=context.viewer_id, now=context.now())
