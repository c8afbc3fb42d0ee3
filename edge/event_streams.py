"""Server-sent events (WHATWG HTML, 9.2), one at a time, until the source, the client or the token ends."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing, suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE_S = 15.0
"""How often a comment is sent: proxies close idle connections, and a send shows whether the client is there."""
KEEP_ALIVE = ": keep-alive\n\n"
HEADERS = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}
"""Proxies must not hold events back."""


def event(name: str | None, data: str = "", *, id: str | None = None) -> str:
    """One event; without a name its type is `message`. Browsers drop an event without a data line, so it has one."""
    head = ("" if id is None else f"id: {id}\n") + ("" if name is None else f"event: {name}\n")
    return f"{head}data: {data}\n\n"


class EventStream(Response):
    """A response of server-sent events. The next event is made when the transport has room for it: none are queued.

    It ends with `events`, when the client disconnects, or after `remaining_s` seconds, when the client's token expires:
    then `last_event` is sent. `quota` is released in any case, also when the response never starts.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        events: AsyncGenerator[str, None],
        *,
        quota: ExitStack,
        remaining_s: float | None,
        last_event: str,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        self._events = events
        self._quota = quota
        self._remaining_s = remaining_s
        self._last_event = last_event

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        """Send the events."""
        with self._quota, suppress(OSError):  # the connection is closed
            async with aclosing(self._events):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                if await self._send_all(receive, send):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, receive: Receive, send: Send) -> bool:
        """Send every event; False where the client disconnected."""
        try:
            async with asyncio.timeout(self._remaining_s) as deadline:
                keeping_alive = asyncio.create_task(_keep_alive(receive, send, deadline))
                try:
                    async for event in self._events:
                        await _send(send, event)
                finally:
                    keeping_alive.cancel()
        except TimeoutError:
            if keeping_alive.done() and not keeping_alive.cancelled():
                return False
            if not deadline.expired():
                raise  # a TimeoutError of the source
            await _send(send, self._last_event)
        return True


async def _send(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _keep_alive(receive: Receive, send: Send, deadline: asyncio.Timeout) -> None:
    """Send comments until the client disconnects, then end the stream by its deadline."""
    with suppress(OSError):
        while not await _disconnects(receive):
            await _send(send, KEEP_ALIVE)
    if not deadline.expired():
        deadline.reschedule(asyncio.get_running_loop().time())


async def _disconnects(receive: Receive) -> bool:
    """Whether the client disconnects within `KEEP_ALIVE_S`."""
    try:
        async with asyncio.timeout(KEEP_ALIVE_S):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True
