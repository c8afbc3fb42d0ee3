"""Slow clients: a stream or WebSocket is aborted when its client reads nothing for too long."""

import asyncio
import logging
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.event_streams import MEDIA_TYPE

TRANSPORT = "luthier.transport"
"""The ASGI extension of our server: `abort` drops the connection (a close would wait for the client), and
`is_write_paused` says whether the next send would wait."""


logger = logging.getLogger(__name__)


class SlowClient(ConnectionAbortedError):
    """The client read nothing for too long, and the server has no way to abort its connection."""


class SlowClientTimeout:
    """Bounds how long a send of a stream or a WebSocket may wait for its client.

    Nothing is queued: a stream makes its next event when the last one was sent. So a client that does not read
    costs one quota slot and one buffer, for `seconds` at most.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or WebSocket."""
        sender = _Sender(scope, send, self._seconds)
        if scope["type"] == "websocket":
            await self._app(scope, receive, sender.send_in_time)
        elif scope["type"] == "http":
            await self._app(scope, receive, sender.send_stream_in_time)
        else:
            await self._app(scope, receive, send)


class _Sender:
    def __init__(self, scope: Scope, send: Send, seconds: float) -> None:
        self._scope = scope
        self._transport: dict[str, Any] = scope.get("extensions", {}).get(TRANSPORT, {})
        self._is_write_paused = self._transport.get("is_write_paused", lambda: True)
        self._send = send
        self._seconds = seconds
        self._is_stream = False

    async def send_stream_in_time(self, message: Message) -> None:
        """Send; only an event stream has a timeout, for a user may pause a download."""
        if message["type"] == "http.response.start":
            self._is_stream = _is_event_stream(message)
        await (self.send_in_time(message) if self._is_stream else self._send(message))

    async def send_in_time(self, message: Message) -> None:
        """Send, or abort the connection, which the application sees as any other disconnect."""
        if not self._is_write_paused():
            await self._send(message)
            return
        try:
            async with asyncio.timeout(self._seconds):
                await self._send(message)
        except TimeoutError:
            self._abort()

    def _abort(self) -> None:
        extra = {name: self._scope.get(name) for name in ("request_id", "viewer", "path")}
        logger.warning("A stream was aborted: its client read nothing for %g s", self._seconds, extra=extra)
        if "abort" not in self._transport:
            raise SlowClient
        self._transport["abort"]()


def _is_event_stream(start: Message) -> bool:
    headers = dict(start.get("headers", ()))
    return bool(headers.get(b"content-type", b"").startswith(MEDIA_TYPE.encode()))
