"""Subscribers that only note when something arrives, many in one process.

An arrival is dated when its bytes are read; what a connection wants besides (a pong, a close) is seen to later, so
that reading one connection does not keep the next one waiting.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import orjson
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

MARK = re.compile(rb"mark-(\d+)-")
TEND_S = 3.0
AT_ONCE = 40
SUBSCRIPTION = 'subscription { jobEvents(jobId: "%s") { cursor ... on LogEvent { line } } }'


def line(number: int) -> str:
    """The log line by which an event is known again."""
    return f"mark-{number}-"


@dataclass
class Arrivals:
    """When each event came, at each subscriber."""

    times: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    wanted: dict[int, tuple[int, asyncio.Event]] = field(default_factory=dict)

    def note(self, number: int, now: float) -> None:
        """One more has it."""
        times = self.times[number]
        times.append(now)
        if number in self.wanted and len(times) >= self.wanted[number][0]:
            self.wanted[number][1].set()

    async def everywhere(self, number: int, count: int, seconds: float) -> None:
        """Return once so many have an event; raises TimeoutError."""
        reached = asyncio.Event()
        self.wanted[number] = (count, reached)
        if len(self.times[number]) >= count:
            return
        try:
            await asyncio.wait_for(reached.wait(), seconds)
        except TimeoutError:
            raise TimeoutError(f"{len(self.times[number])} of {count} have event {number}") from None


class Follower(asyncio.Protocol):
    """A connection that listens."""

    def __init__(self, arrivals: Arrivals, jobs: list[str], token: str, port: int) -> None:
        self.arrivals, self.jobs, self.token, self.port = arrivals, jobs, token, port
        self.pending = bytearray()
        self.live = asyncio.get_running_loop().create_future()
        self.closed = False
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport
        self.begin()

    def begin(self) -> None:
        """Say what is wanted."""
        raise NotImplementedError

    def tend(self) -> None:
        """See to what the connection wants."""

    def data_received(self, data: bytes) -> None:
        """Date what arrived before anything else is done with it."""
        now = perf_counter()
        for mark in MARK.findall(data):
            self.arrivals.note(int(mark), now)
            self.count += 1
        self.pending += data
        if not self.live.done():
            self.tend()
            if self.count >= len(self.jobs):  # each stream begins with what is kept
                self.live.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Remember it: nobody is to be hung up on."""
        self.closed = True
        if not self.live.done():
            self.live.set_exception(ConnectionError(f"hung up: {bytes(self.pending[-300:])!r} {error}"))


class Socket(Follower):
    """`graphql-transport-ws`: one operation for each job."""

    def begin(self) -> None:
        """The handshake; the rest follows what is answered."""
        uri = parse_uri(f"ws://127.0.0.1:{self.port}/graphql")
        self.peer = ClientProtocol(uri, subprotocols=["graphql-transport-ws"])
        self.peer.send_request(self.peer.connect())
        self._send()
        self.begun = False

    def tend(self) -> None:
        """Read what came, answer pings, go on with the handshake."""
        self.peer.receive_data(bytes(self.pending))
        self.pending.clear()
        if self.peer.handshake_exc is not None:
            raise self.peer.handshake_exc
        for event in self.peer.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._heard(orjson.loads(event.data))
        if self.peer.state.name == "OPEN" and not self.begun:
            self.begun = True
            self._say(type="connection_init", payload={"authorization": f"Bearer {self.token}"})
        self._send()

    def _heard(self, message: dict[str, object]) -> None:
        if message["type"] == "connection_ack":
            for number, job in enumerate(self.jobs):
                self._say(type="subscribe", id=str(number), payload={"query": SUBSCRIPTION % job})
        elif message["type"] == "ping":
            self._say(type="pong")
        elif message["type"] == "error":
            raise RuntimeError(message)

    def _say(self, **message: object) -> None:
        self.peer.send_text(orjson.dumps(message))

    def _send(self) -> None:
        for data in self.peer.data_to_send():
            self.transport.write(data)  # type: ignore[attr-defined]


class Events(Follower):
    """Server-sent events: one job a connection."""

    def begin(self) -> None:
        """The request."""
        body = orjson.dumps({"query": SUBSCRIPTION % self.jobs[0]})
        head = [
            "POST /graphql HTTP/1.1",
            "Host: 127.0.0.1",
            "Accept: text/event-stream",
            f"Authorization: Bearer {self.token}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        self.transport.write("\r\n".join([*head, "", ""]).encode() + body)  # type: ignore[attr-defined]

    def tend(self) -> None:
        """Forget what came, but for the end."""
        del self.pending[:-300]  # the rest tells why, should it hang up


class Crowd:
    """All followers of one run."""

    def __init__(self, arrivals: Arrivals) -> None:
        self.arrivals = arrivals
        self.followers: list[Follower] = []
        self._tending = asyncio.create_task(self._tend())

    async def open(self, make: Callable[[], Follower], port: int) -> None:
        """Connect one more, and return once its streams are live."""
        made = await asyncio.get_running_loop().create_connection(make, "127.0.0.1", port)
        self.followers.append(made[1])
        await asyncio.wait_for(made[1].live, 60)

    async def _tend(self) -> None:
        """See to everybody, again and again: who answers no ping is hung up on."""
        while True:
            await asyncio.sleep(TEND_S)
            for number, it in enumerate(self.followers):
                if not it.closed:
                    it.tend()
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)

    def close(self) -> None:
        """Hang up."""
        self._tending.cancel()
        for it in self.followers:
            it.transport.close()  # type: ignore[attr-defined]

    @property
    def lost(self) -> int:
        """How many were hung up on."""
        return sum(it.closed for it in self.followers)
