"""The load generator: a process that keeps a few connections busy and times each response.

`python -m benchmarks.load` reads one round a line from standard input and prints a line of figures for each.
Of a response it parses no more than where it ends.
"""

import asyncio
import statistics
import sys
from dataclasses import asdict, dataclass
from time import perf_counter

import orjson
import uvloop

HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True)
class Request:
    """One HTTP request, sent again and again."""

    port: int
    method: str
    path: str
    headers: dict[str, str]
    body: str

    def encoded(self) -> bytes:
        """The bytes on the wire."""
        body = self.body.encode()
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Figures:
    """One round: responses a second, milliseconds of the median and of the slowest hundredth, bytes of a body."""

    count: int
    seconds: float
    p50: float
    p99: float
    bytes: int

    @property
    def rate(self) -> float:
        """Responses a second."""
        return self.count / self.seconds


class Connection(asyncio.Protocol):
    """Sends the request, reads the response to its end, and sends again until the time is over."""

    def __init__(self, encoded: bytes, until: float) -> None:
        self.encoded = encoded
        self.until = until
        self.times: list[float] = []
        self.size = 0
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request for the first time."""
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.began = perf_counter()
        self.head, self.remaining, self.size = b"", -1, 0
        self.transport.write(self.encoded)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Count what came until the response is complete."""
        if self.remaining == -1:
            self.head += data
            head, end, data = self.head.partition(HEAD_END)
            if not end:
                return
            self._read_head(head)
        self.size += len(data)
        if self.size == self.remaining or (self.remaining == -2 and data.endswith(LAST_CHUNK)):
            self._completed()

    def _read_head(self, head: bytes) -> None:
        if b" 200 " not in head.partition(b"\r\n")[0]:
            self.over.set_exception(RuntimeError(head.decode()))
        _, found, rest = head.lower().partition(b"content-length:")
        self.remaining = int(rest.partition(b"\r\n")[0]) if found else -2  # -2: in chunks

    def _completed(self) -> None:
        now = perf_counter()
        self.times.append((now - self.began) * 1000)
        if now < self.until:
            self._send()
        else:
            self.transport.close()
            self.over.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Fails the round where the connection closes before the time is over."""
        if not self.over.done():
            self.over.set_exception(error or ConnectionResetError("the server hung up"))


async def load(request: Request, seconds: float, connections: int) -> Figures:
    """Send one request after the other over each of these connections for so many seconds."""
    loop, began = asyncio.get_running_loop(), perf_counter()
    encoded, until = request.encoded(), perf_counter() + seconds
    opened = [
        (await loop.create_connection(lambda: Connection(encoded, until), "127.0.0.1", request.port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.over for connection in opened))
    took = perf_counter() - began
    times = sorted(time for connection in opened for time in connection.times)
    late = statistics.quantiles(times, n=100)[-1]
    return Figures(len(times), took, statistics.median(times), late, opened[0].size)


async def main() -> None:
    """Serve rounds until standard input ends."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        round = orjson.loads(line)
        figures = await load(Request(**round["request"]), round["seconds"], round["connections"])
        print(orjson.dumps(asdict(figures)).decode(), flush=True)


@dataclass(frozen=True)
class Loader:
    """The load's process, as its parent uses it."""

    child: asyncio.subprocess.Process

    async def round(self, request: Request, seconds: float, connections: int) -> Figures:
        """Run one round there."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        order = {"request": asdict(request), "seconds": seconds, "connections": connections}
        self.child.stdin.write(orjson.dumps(order) + b"\n")
        line = await asyncio.wait_for(self.child.stdout.readline(), seconds + 30)
        return Figures(**orjson.loads(line))


if __name__ == "__main__":
    uvloop.run(main())
