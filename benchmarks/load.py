"""The load generator: a process that keeps a few connections busy and times each response.

`python -m benchmarks.load` reads one round a line from standard input and answers each with a line of figures.
It parses no more of an answer than where it ends.
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
class Ask:
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
    """One round: answers a second, milliseconds of the median and of the slowest hundredth, bytes of a body."""

    count: int
    seconds: float
    p50: float
    p99: float
    bytes: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.count / self.seconds


class Connection(asyncio.Protocol):
    """Asks, reads to the end of the answer, asks again until the time is over."""

    def __init__(self, request: bytes, until: float) -> None:
        self.request = request
        self.until = until
        self.times: list[float] = []
        self.size = 0
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        self.began = perf_counter()
        self.head, self.left, self.size = b"", -1, 0
        self.transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Count what came until the answer is whole."""
        if self.left == -1:
            self.head += data
            head, end, data = self.head.partition(HEAD_END)
            if not end:
                return
            self._read_head(head)
        self.size += len(data)
        if self.size == self.left or (self.left == -2 and data.endswith(LAST_CHUNK)):
            self._answered()

    def _read_head(self, head: bytes) -> None:
        if b" 200 " not in head.partition(b"\r\n")[0]:
            self.over.set_exception(RuntimeError(head.decode()))
        _, found, rest = head.lower().partition(b"content-length:")
        self.left = int(rest.partition(b"\r\n")[0]) if found else -2  # -2: in chunks

    def _answered(self) -> None:
        now = perf_counter()
        self.times.append((now - self.began) * 1000)
        if now < self.until:
            self._ask()
        else:
            self.transport.close()
            self.over.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Fails the round where the connection closes before the time is over."""
        if not self.over.done():
            self.over.set_exception(error or ConnectionResetError("the server hung up"))


async def load(ask: Ask, seconds: float, connections: int) -> Figures:
    """Send one request after the other over each of these connections for so many seconds."""
    loop, began = asyncio.get_running_loop(), perf_counter()
    request, until = ask.encoded(), perf_counter() + seconds
    opened = [
        (await loop.create_connection(lambda: Connection(request, until), "127.0.0.1", ask.port))[1]
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
        figures = await load(Ask(**round["ask"]), round["seconds"], round["connections"])
        print(orjson.dumps(asdict(figures)).decode(), flush=True)


@dataclass(frozen=True)
class Loader:
    """The load's process, as its parent uses it."""

    child: asyncio.subprocess.Process

    async def round(self, ask: Ask, seconds: float, connections: int) -> Figures:
        """Run one round there."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        order = {"ask": asdict(ask), "seconds": seconds, "connections": connections}
        self.child.stdin.write(orjson.dumps(order) + b"\n")
        line = await asyncio.wait_for(self.child.stdout.readline(), seconds + 30)
        return Figures(**orjson.loads(line))


if __name__ == "__main__":
    uvloop.run(main())
