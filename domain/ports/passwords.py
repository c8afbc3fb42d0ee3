"""Password hashes: the port to a slow hash function."""

from typing import Protocol


class Passwords(Protocol):
    """Hashes passwords, slowly by design: neither call may run on an event loop's thread."""

    async def hash(self, password: str) -> str: ...
    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Takes as long for None, an unknown account, as for a wrong password."""
        ...
