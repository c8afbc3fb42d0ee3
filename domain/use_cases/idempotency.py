"""Running a call once for each idempotency key."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from domain.errors import Conflict
from domain.rules import named
from domain.store import Store

T = TypeVar("T")


async def run_idempotently(
    store: Store,
    operation: str,
    key: str | None,
    given: Any,
    make: Callable[[], Awaitable[T]],
    again: Callable[[str], Awaitable[T]],
    id_of: Callable[[T], str],
    *,
    viewer_id: str,
) -> T:
    """Run `make` unless `key` was used for the same call; then `again` finds what that call made.

    Raises `Conflict` when the key was used for another input.
    """
    if key is None:
        return await make()
    key = named(key, "idempotencyKey", limit=200)
    fingerprint = hashlib.sha256(json.dumps(given, sort_keys=True, default=str).encode()).hexdigest()
    used = await store.idempotency.claim(viewer_id, operation, key, fingerprint)
    if used is None:
        made = await make()
        await store.idempotency.remember(viewer_id, operation, key, id_of(made))
        return made
    if used[0] != fingerprint or used[1] is None:
        raise Conflict(
            "This idempotency key was used with a different input.",
            reason="IDEMPOTENCY_KEY_REUSED",
            field="idempotencyKey",
        )
    return await again(used[1])
