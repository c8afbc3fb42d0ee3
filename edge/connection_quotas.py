"""Quotas of one process: how many subscriptions and WebSockets one client may have open, for each costs memory."""

from collections import Counter
from contextlib import ExitStack

from domain.errors import RateLimited

RETRY_AFTER_S = 5
"""The Retry-After of a refusal. A guess: nothing says when the client will close a connection."""


class Quota:
    """Counts the open connections of each holder (a user id or an address); `noun` names them in the refusal."""

    def __init__(self, limit: int, noun: str) -> None:
        self._limit = limit
        self._noun = noun
        self._open: Counter[str] = Counter()

    def open_count(self, holder: str) -> int:
        """How many the holder has open now."""
        return self._open[holder]

    def acquire(self, holder: str) -> ExitStack:
        """Count one more until the returned stack is closed; raises `RateLimited` above the limit."""
        if self._open[holder] >= self._limit:
            raise RateLimited(
                f"At most {self._limit:,} {self._noun} may be open at a time; close one first.",
                kind="open",
                retry_after=RETRY_AFTER_S,
            )
        self._open[holder] += 1
        release = ExitStack()
        release.callback(self._release, holder)
        return release

    def _release(self, holder: str) -> None:
        self._open[holder] -= 1
        if not self._open[holder]:
            del self._open[holder]


class ConnectionQuotas:
    """The quotas of one process.

    `subscriptions` are subscriptions and followed logs, over SSE or WebSocket, by user (by address where nobody is
    signed in); `websockets` are WebSockets by user; `unauthenticated_websockets` are WebSockets before
    `connection_init`, by address; `operations` are the operations of one WebSocket, by WebSocket.
    """

    def __init__(
        self, *, subscriptions: int, websockets: int, unauthenticated_websockets: int, operations: int
    ) -> None:
        self.subscriptions = Quota(subscriptions, "streams")
        self.websockets = Quota(websockets, "connections")
        self.unauthenticated_websockets = Quota(
            unauthenticated_websockets, "connections that are not signed in"
        )
        self.operations = Quota(operations, "operations on one connection")
