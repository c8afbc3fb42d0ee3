"""Idempotency keys: the second call with the same key and input is the first one's answer."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from domain.errors import Conflict
from domain.rules import named

if TYPE_CHECKING:
    from domain.store import Store

T = TypeVar("T")

KEPT_S = 86_400
"""How long a key is remembered; then the same call makes another object."""


class Idempotency(Protocol):
    """The keys that were used."""

    async def claim(
        self, user_id: str, operation: str, key: str, fingerprint: str
    ) -> tuple[str, str | None] | None:
        """None when the key is new and ours until the transaction ends.

        Else what it was used for: the fingerprint of the input and the id of the result. Waits for a
        transaction that holds the key.
        """
        ...

    async def settle(self, user_id: str, operation: str, key: str, result_id: str) -> None:
        """Remember what the call made."""
        ...

    async def expire(self) -> None:
        """Forget the keys that are older than `KEPT_S`."""
        ...


async def once(
    store: "Store",
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
        await store.idempotency.settle(viewer_id, operation, key, id_of(made))
        return made
    if used[0] != fingerprint or used[1] is None:
        raise Conflict(
            "This idempotency key was used with a different input.",
            reason="IDEMPOTENCY_KEY_REUSED",
            field="idempotencyKey",
        )
    return await again(used[1])
