"""Use cases of API keys."""

from datetime import datetime

from domain.api_keys import ApiKey, new_key
from domain.reading import require
from domain.store import Store
from domain.use_cases import accounts


async def revoke(store: Store, id: str, *, viewer_id: str, now: datetime) -> ApiKey:
    """Revoke a key; a second call changes nothing."""
    key = await require(store.api_keys, id, viewer_id=viewer_id)
    if key.revoked_at is None:
        await store.api_keys.revoke(id, now=now)
    return await require(store.api_keys, id, viewer_id=viewer_id)


async def create(
    store: Store,
    deployment_id: str | None,
    name: str,
    expires_at: datetime | None,
    *,
    viewer_id: str,
    now: datetime,
) -> tuple[ApiKey, str]:
    """A new key of a deployment, or of the account itself, and its secret."""
    await accounts.require(store, viewer_id)
    if deployment_id is not None:
        await require(store.deployments, deployment_id, viewer_id=viewer_id, field="deploymentId")
    key, secret = new_key(viewer_id, name, deployment_id=deployment_id, expires_at=expires_at, now=now)
    await store.api_keys.add(key)
    return key, secret
