"""Slow clients: connections whose client stops reading are cut."""

import asyncio
import logging
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CUT = "luthier.cut"
"""The extension of ASGI's scope by which our server lets a connection be cut, for closing one waits for its client;
and says whether it is full, so that the next thing sent would wait."""
EVENTS = b"text/event-stream"


log = logging.getLogger(__name__)


class SlowClient(ConnectionAbortedError):
    """The client took nothing for too long."""


class SlowClientTimeout:
    """Lets streams wait for their client for a while only.

    Nothing is queued on the way: a stream makes its next event when the last one was taken. So a client that does
    not read costs its slot and a buffer, and after `seconds` no longer that.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one WebSocket."""
        sending = _Sending(scope, send, self._seconds)
        if scope["type"] == "websocket":
            await self._app(scope, receive, sending.in_time)
        elif scope["type"] == "http":
            await self._app(scope, receive, sending.what_streams_in_time)
        else:
            await self._app(scope, receive, send)


class _Sending:
    """What one client is sent."""

    def __init__(self, scope: Scope, send: Send, seconds: float) -> None:
        self._scope = scope
        self._server: dict[str, Any] = scope.get("extensions", {}).get(CUT, {})
        self._is_full = self._server.get("is_full", lambda: True)
        self._send = send
        self._seconds = seconds
        self._streams = False

    async def what_streams_in_time(self, message: Message) -> None:
        """Send; only a stream of events is held to the time, for a download may be paused."""
        if message["type"] == "http.response.start":
            self._streams = _is_stream(message)
        await (self.in_time(message) if self._streams else self._send(message))

    async def in_time(self, message: Message) -> None:
        """Send, or cut the connection: the application learns that as it learns of any client that is gone."""
        if not self._is_full():
            await self._send(message)
            return
        try:
            async with asyncio.timeout(self._seconds):
                await self._send(message)
        except TimeoutError:
            self._cut()

    def _cut(self) -> None:
        """Cut it; raises `SlowClient` where the server cannot."""
        about = {name: self._scope.get(name) for name in ("request_id", "viewer", "path")}
        log.warning("a stream was cut: its client took nothing for %g s", self._seconds, extra=about)
        if "cut" not in self._server:
            raise SlowClient
        self._server["cut"]()


def _is_stream(start: Message) -> bool:
    headers = dict(start.get("headers", ()))
    return bool(headers.get(b"content-type", b"").startswith(EVENTS))
