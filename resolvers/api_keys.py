"""Answers for API keys: one transaction each, domain types in and out."""

from datetime import datetime

from domain.api_keys import ApiKey
from domain.reading import require
from domain.store import Store
from domain.use_cases import api_keys, idempotency
from resolvers.context import Context


async def create(
    context: Context, deployment_id: str | None, name: str, expires_at: datetime | None, key: str | None
) -> tuple[ApiKey, str | None]:
    """A new key and its secret; a repeated call gives the key without it."""
    viewer = context.viewer_id
    async with context.transactions.begin() as store:
        return await idempotency.run_idempotently(
            store,
            "createApiKey",
            key,
            [deployment_id, name, expires_at],
            make=lambda: api_keys.create(
                store, deployment_id, name, expires_at, viewer_id=viewer, now=context.now()
            ),
            again=lambda id: _again(store, id, viewer),
            id_of=lambda made: made[0].id,
            viewer_id=viewer,
        )


async def _again(store: Store, id: str, viewer_id: str) -> tuple[ApiKey, None]:
    return await require(store.api_keys, id, viewer_id=viewer_id), None


async def revoke(context: Context, id: str) -> ApiKey:
    """Refuse a key from now on."""
    async with context.transactions.begin() as store:
        return await api_keys.revoke(store, id, viewer_id=context.viewer_id, now=context.now())
