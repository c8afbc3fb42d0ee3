"""Server-sent events: one at a time, for as long as the client reads and may listen."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing, suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

KEEP_ALIVE_S = 15.0
"""A comment is sent after this long: proxies close what is silent, and a client that is gone is noticed."""
KEEP_ALIVE = ": keep-alive\n\n"
HEADERS = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}
"""Proxies must not hold events back."""


def event(name: str, data: str = "", *, id: str | None = None) -> str:
    """One server-sent event; browsers drop those without a data line, so there always is one."""
    cursor = "" if id is None else f"id: {id}\n"
    return f"{cursor}event: {name}\ndata: {data}\n\n"


class EventStream(Response):
    """Server-sent events, one at a time: the next is made when the client has room for it.

    It ends with its source, with the client, or after `life_s` seconds, when the client's token expires: then
    `last_event` is sent. `quota` is released in any case.
    """

    media_type = "text/event-stream"

    def __init__(
        self, events: AsyncGenerator[str, None], *, quota: ExitStack, life_s: float | None, last_event: str
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        self._events = events
        self._quota = quota
        self._life_s = life_s
        self._last_event = last_event

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        """Send it to its end."""
        with self._quota, suppress(OSError):  # the server gave the client up
            async with aclosing(self._events):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                if await self._send_all(receive, send):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, receive: Receive, send: Send) -> bool:
        """Send every event; False where the client left."""
        try:
            async with asyncio.timeout(self._life_s) as until:
                keeping_alive = asyncio.create_task(_keep_alive(receive, send, until))
                try:
                    async for event in self._events:
                        await _send(send, event)
                finally:
                    keeping_alive.cancel()
        except TimeoutError:
            if keeping_alive.done() and not keeping_alive.cancelled():
                return False
            if not until.expired():
                raise  # the source's own
            await _send(send, self._last_event)
        return True


async def _send(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _keep_alive(receive: Receive, send: Send, until: asyncio.Timeout) -> None:
    """Send a comment where nothing else is sent; end the stream when the client is gone."""
    with suppress(OSError):
        while not await _has_left(receive):
            await _send(send, KEEP_ALIVE)
    if not until.expired():
        until.reschedule(asyncio.get_running_loop().time())


async def _has_left(receive: Receive) -> bool:
    """Whether the client leaves within `KEEP_ALIVE_S`."""
    try:
        async with asyncio.timeout(KEEP_ALIVE_S):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True
