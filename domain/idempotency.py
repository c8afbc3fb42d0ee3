"""Idempotency keys: the second call with the same key and input is the first one's answer."""

from typing import Protocol

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

    async def remember(self, user_id: str, operation: str, key: str, result_id: str) -> None:
        """Remember what the call made."""
        ...

    async def expire(self) -> None:
        """Forget the keys that are older than `KEPT_S`."""
        ...
