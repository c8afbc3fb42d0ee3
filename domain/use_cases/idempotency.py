"""Runs a call once for each idempotency key."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from domain.errors import Conflict
from domain.rules import validated_name
from domain.store import Store

T = TypeVar("T")


async def run_idempotently(
    store: Store,
    operation: str,
    key: str | None,
    arguments: Any,
    create: Callable[[], Awaitable[T]],
    replay: Callable[[str], Awaitable[T]],
    result_id: Callable[[T], str],
    *,
    viewer_id: str,
) -> T:
    """Run `create`, unless an earlier call has used `key`: then `replay` gets the id of that call's result.

    Raises `Conflict` when the earlier call had other arguments.
    """
    if key is None:
        return await create()
    key = validated_name(key, "idempotencyKey", limit=200)
    fingerprint = hashlib.sha256(json.dumps(arguments, sort_keys=True, default=str).encode()).hexdigest()
    earlier = await store.idempotency.claim(viewer_id, operation, key, fingerprint)
    if earlier is None:
        created = await create()
        await store.idempotency.record_result(viewer_id, operation, key, result_id(created))
        return created
    earlier_fingerprint, earlier_id = earlier
    if earlier_fingerprint != fingerprint or earlier_id is None:
        raise Conflict(
            "This idempotency key was used with a different input.",
            reason="IDEMPOTENCY_KEY_REUSED",
            field="idempotencyKey",
        )
    return await replay(earlier_id)
