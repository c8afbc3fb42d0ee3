"""Password hashes: the port to a slow hash function."""

from typing import Protocol


class Passwords(Protocol):
    """Hashes and verifies passwords in a thread of their own: both are slow by design."""

    async def hash(self, password: str) -> str: ...
    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether a password matches; takes as long for None (no such account) as for a wrong password."""
        ...
