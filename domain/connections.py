"""How much one user may hold open at a time, in one process: streams and sockets cost memory for as long as they last."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

from domain.errors import RateLimited

AGAIN_S = 5
"""When it is worth trying again; nobody knows when something will be closed."""


class Slots:
    """Counts what each holder has open."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._held: Counter[str] = Counter()

    def held(self, holder: str) -> int:
        """How many it has open now."""
        return self._held[holder]

    def take(self, holder: str) -> ExitStack:
        """One more, until what this returns is closed; raises `RateLimited` where the holder has too many."""
        if self._held[holder] >= self._most:
            raise RateLimited(
                f"At most {self._most:,} {self._what} may be open at a time; close one first.",
                kind="open",
                retry_after=AGAIN_S,
            )
        self._held[holder] += 1
        taken = ExitStack()
        taken.callback(self._give_back, holder)
        return taken

    def _give_back(self, holder: str) -> None:
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]


@dataclass(frozen=True, slots=True)
class Connections:
    """What may be open at a time.

    `streams` are subscriptions and logs that are followed, whatever they travel over, by user (by address where nobody
    is signed in); `sockets` are WebSockets by user; `strangers` are those that have not yet said whose they are, by
    address; `operations` are what runs on one WebSocket, by WebSocket.
    """

    streams: Slots
    sockets: Slots
    strangers: Slots
    operations: Slots


def connections_of(*, streams: int, sockets: int, strangers: int, operations: int) -> Connections:
    """The counters of one process."""
    return Connections(
        streams=Slots(streams, "streams"),
        sockets=Slots(sockets, "connections"),
        strangers=Slots(strangers, "connections that are not signed in"),
        operations=Slots(operations, "operations on one connection"),
    )
