"""Rate limiting: the port to counts in memory or in a server that many processes share."""

from collections.abc import Sequence
from typing import Protocol

from domain.rate_limits import RateLimitedCall


class RateLimiter(Protocol):
    """Counts calls, for this process or for many."""

    async def hit(self, calls: Sequence[RateLimitedCall]) -> None:
        """Count all of the calls; raises `RateLimited` and counts none where one exceeds its limit."""
        ...

    async def reset(self, call: RateLimitedCall) -> None:
        """Delete what was counted under the call's kind and key."""
        ...
