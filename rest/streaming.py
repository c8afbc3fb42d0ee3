"""Bodies of any length: sent in pieces, and closed at once when the client goes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing, suppress

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

CHUNK = 65_536
"""Characters that are sent at once."""
QUIET_S = 15.0
"""A comment is sent after this long: proxies close what is silent, and a client that is gone is noticed."""
STILL_HERE = ": still here\n\n"
HEADERS = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}
"""Proxies must not hold events back."""


class Streamed(StreamingResponse):
    """A streamed body whose source is closed at once when the client goes."""

    async def stream_response(self, send: Send) -> None:
        """Send it to its end, or to the client's."""
        async with aclosing(self.body_iterator):  # type: ignore[type-var]  # it is made of a generator
            await super().stream_response(send)


async def in_pieces(lines: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """Lines, many to a piece; the first goes out by itself, for it must not wait for the last."""
    piece, length = list[str](), CHUNK
    async with aclosing(lines):
        async for line in lines:
            piece.append(line)
            length += len(line)
            if length >= CHUNK:
                yield "".join(piece)
                piece, length = [], 0
    yield "".join(piece)


class EventStream(Response):
    """Server-sent events, one at a time: the next is made when the client has room for it.

    It ends with its source, with the client, or after `life_s`, when what the client proved itself with ends: then
    `last_words` are said. `taken` is given back in any case.
    """

    media_type = "text/event-stream"

    def __init__(
        self, events: AsyncGenerator[str, None], *, taken: ExitStack, life_s: float | None, last_words: str
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        self._events = events
        self._taken = taken
        self._life_s = life_s
        self._last_words = last_words

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        """Send it to its end."""
        with self._taken, suppress(OSError):  # the server gave the client up
            async with aclosing(self._events):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                if await self._heard(receive, send):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _heard(self, receive: Receive, send: Send) -> bool:
        """Whether there was a client to the end."""
        try:
            async with asyncio.timeout(self._life_s) as until:
                watching = asyncio.create_task(_watch(receive, send, until))
                try:
                    async for event in self._events:
                        await _say(send, event)
                finally:
                    watching.cancel()
        except TimeoutError:
            if watching.done() and not watching.cancelled():
                return False
            if not until.expired():
                raise  # the source's own
            await _say(send, self._last_words)
        return True


async def _say(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _watch(receive: Receive, send: Send, until: asyncio.Timeout) -> None:
    """Comment where it is quiet, until the client is gone: that ends the stream."""
    with suppress(OSError):
        while not await _left(receive):
            await _say(send, STILL_HERE)
    if not until.expired():
        until.reschedule(asyncio.get_running_loop().time())


async def _left(receive: Receive) -> bool:
    """Whether the client left, looked at for a while."""
    try:
        async with asyncio.timeout(QUIET_S):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True
