"""Idempotency keys: a call that repeats the key and the input of an earlier call gets that call's result."""

from typing import Protocol

KEY_TTL_S = 86_400
"""Lifetime of a key in seconds; after that the same call makes another object."""


class Idempotency(Protocol):
    """Reads and writes idempotency keys."""

    async def claim(
        self, user_id: str, operation: str, key: str, fingerprint: str
    ) -> tuple[str, str | None] | None:
        """Insert a key, which locks it until the transaction ends; None when it was new.

        Else the fingerprint of the earlier call's input and the id of its result. Waits while another
        transaction has the key locked.
        """
        ...

    async def record_result(self, user_id: str, operation: str, key: str, result_id: str) -> None:
        """Store the result of the call that claimed the key."""
        ...

    async def expire(self) -> None:
        """Delete the keys that are older than `KEY_TTL_S`."""
        ...
