"""How much one client may hold open at a time, in one process: streams and sockets cost memory for as long as they last."""

from collections import Counter
from contextlib import ExitStack

from domain.errors import RateLimited

RETRY_AFTER_S = 5
"""What a refused client is told; nobody knows when something will be closed."""


class Quota:
    """Counts what each holder has open; `what` names it in the refusal."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit = limit
        self._what = what
        self._held: Counter[str] = Counter()

    def held(self, holder: str) -> int:
        """How many the holder has open now."""
        return self._held[holder]

    def acquire(self, holder: str) -> ExitStack:
        """One more, until what this returns is closed; raises `RateLimited` where the holder has too many."""
        if self._held[holder] >= self._limit:
            raise RateLimited(
                f"At most {self._limit:,} {self._what} may be open at a time; close one first.",
                kind="open",
                retry_after=RETRY_AFTER_S,
            )
        self._held[holder] += 1
        acquired = ExitStack()
        acquired.callback(self._release, holder)
        return acquired

    def _release(self, holder: str) -> None:
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]


class ConnectionQuotas:
    """What may be open at a time in one process.

    `streams` are subscriptions and followed logs, whatever they travel over, by user (by address where nobody is
    signed in); `sockets` are WebSockets by user; `unauthenticated` are WebSockets before `connection_init`, by
    address; `operations` are what runs on one WebSocket, by WebSocket.
    """

    def __init__(self, *, streams: int, sockets: int, unauthenticated: int, operations: int) -> None:
        self.streams = Quota(streams, "streams")
        self.sockets = Quota(sockets, "connections")
        self.unauthenticated = Quota(unauthenticated, "connections that are not signed in")
        self.operations = Quota(operations, "operations on one connection")
