"""Many subscribers in one process, which only record when an event arrives.

An arrival is timed when its bytes are read; pings are answered later, so that one connection does not delay the next.
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
SERVICE_INTERVAL_S = 3.0
BATCH = 40
SUBSCRIPTION = 'subscription { jobEvents(jobId: "%s") { cursor ... on LogEvent { line } } }'


def line(number: int) -> str:
    """The log line of an event, by which subscribers recognize it."""
    return f"mark-{number}-"


@dataclass
class Arrivals:
    """The arrival times of each event, by its number."""

    times: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    waiting: dict[int, tuple[int, asyncio.Event]] = field(default_factory=dict)

    def add(self, number: int, now: float) -> None:
        """Record the arrival of an event at one subscriber."""
        times = self.times[number]
        times.append(now)
        if number in self.waiting and len(times) >= self.waiting[number][0]:
            self.waiting[number][1].set()

    async def wait(self, number: int, count: int, seconds: float) -> None:
        """Wait until `count` subscribers have an event; raises TimeoutError."""
        reached = asyncio.Event()
        self.waiting[number] = (count, reached)
        if len(self.times[number]) >= count:
            return
        try:
            await asyncio.wait_for(reached.wait(), seconds)
        except TimeoutError:
            raise TimeoutError(f"{len(self.times[number])} of {count} have event {number}") from None


class Subscriber(asyncio.Protocol):
    """One subscriber's connection."""

    def __init__(self, arrivals: Arrivals, jobs: list[str], token: str, port: int) -> None:
        self.arrivals, self.jobs, self.token, self.port = arrivals, jobs, token, port
        self.pending = bytearray()
        self.live = asyncio.get_running_loop().create_future()
        self.closed = False
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Subscribe."""
        self.transport = transport
        self.subscribe()

    def subscribe(self) -> None:
        """Send the request."""
        raise NotImplementedError

    def service(self) -> None:
        """Read what arrived: handshake, pings and closes."""

    def data_received(self, data: bytes) -> None:
        """Record the arrivals first."""
        now = perf_counter()
        for mark in MARK.findall(data):
            self.arrivals.add(int(mark), now)
            self.count += 1
        self.pending += data
        if not self.live.done():
            self.service()
            if self.count >= len(self.jobs):  # each stream starts with the stored events
                self.live.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Record that the server closed the connection."""
        self.closed = True
        if not self.live.done():
            self.live.set_exception(
                ConnectionError(f"connection closed: {bytes(self.pending[-300:])!r} {error}")
            )


class Socket(Subscriber):
    """`graphql-transport-ws`: one operation for each job."""

    def subscribe(self) -> None:
        """Start the handshake."""
        uri = parse_uri(f"ws://127.0.0.1:{self.port}/graphql")
        self.peer = ClientProtocol(uri, subprotocols=["graphql-transport-ws"])
        self.peer.send_request(self.peer.connect())
        self._send()
        self.initialized = False

    def service(self) -> None:
        """Read frames, answer pings, and continue the handshake."""
        self.peer.receive_data(bytes(self.pending))
        self.pending.clear()
        if self.peer.handshake_exc is not None:
            raise self.peer.handshake_exc
        for event in self.peer.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._handle(orjson.loads(event.data))
        if self.peer.state.name == "OPEN" and not self.initialized:
            self.initialized = True
            self._send_message(type="connection_init", payload={"authorization": f"Bearer {self.token}"})
        self._send()

    def _handle(self, message: dict[str, object]) -> None:
        if message["type"] == "connection_ack":
            for number, job in enumerate(self.jobs):
                self._send_message(type="subscribe", id=str(number), payload={"query": SUBSCRIPTION % job})
        elif message["type"] == "ping":
            self._send_message(type="pong")
        elif message["type"] == "error":
            raise RuntimeError(message)

    def _send_message(self, **message: object) -> None:
        self.peer.send_text(orjson.dumps(message))

    def _send(self) -> None:
        for data in self.peer.data_to_send():
            self.transport.write(data)  # type: ignore[attr-defined]


class Events(Subscriber):
    """Server-sent events: one job a connection."""

    def subscribe(self) -> None:
        """Send the request."""
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

    def service(self) -> None:
        """Drop what arrived, but for the end."""
        del self.pending[:-300]  # for the message, should the server close the connection


class Clients:
    """All subscribers of one run."""

    def __init__(self, arrivals: Arrivals) -> None:
        self.arrivals = arrivals
        self.subscribers: list[Subscriber] = []
        self._servicing = asyncio.create_task(self._service())

    async def open(self, make: Callable[[], Subscriber], port: int) -> None:
        """Connect one more, and return once its streams are live."""
        made = await asyncio.get_running_loop().create_connection(make, "127.0.0.1", port)
        self.subscribers.append(made[1])
        await asyncio.wait_for(made[1].live, 60)

    async def _service(self) -> None:
        """Service all connections periodically: the server closes one that answers no ping."""
        while True:
            await asyncio.sleep(SERVICE_INTERVAL_S)
            for number, subscriber in enumerate(self.subscribers):
                if not subscriber.closed:
                    subscriber.service()
                if number % BATCH == 0:
                    await asyncio.sleep(0)

    def close(self) -> None:
        """Close all connections."""
        self._servicing.cancel()
        for subscriber in self.subscribers:
            subscriber.transport.close()  # type: ignore[attr-defined]

    @property
    def lost(self) -> int:
        """How many connections the server closed."""
        return sum(subscriber.closed for subscriber in self.subscribers)
