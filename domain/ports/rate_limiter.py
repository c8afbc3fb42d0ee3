"""Counting calls: the port to memory or to a server that many processes share."""

from collections.abc import Sequence
from typing import Protocol

from domain.rate_limits import RateLimitedCall


class RateLimiter(Protocol):
    """Counts calls, in this process or for many."""

    async def hit(self, asked: Sequence[RateLimitedCall]) -> None:
        """Count all of it, or refuse all of it; raises `RateLimited`."""
        ...

    async def forget(self, asked: RateLimitedCall) -> None:
        """Begin anew with what was counted there."""
        ...
