"""How uvicorn serves us: bounded heads and messages, connections that can be cut, and proxies that are named."""

import asyncio
import socket
import struct
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from edge.slow_clients import CUT

MAX_HEAD = 65_536
"""Bytes of a request before its body."""
MAX_MESSAGE = 262_144
"""Bytes of a WebSocket's message, as much as of a body."""
LINGER_S = 5.0
"""What was said to a client that is told to go has this long to reach it."""


def cut(transport: asyncio.Transport) -> None:
    """End a connection now: what was written and not taken is dropped, in the kernel too, and the client is told."""
    held: socket.socket | None = transport.get_extra_info("socket")
    if held is not None:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Http(HttpToolsProtocol):
    """HTTP whose application may cut the connection, which ASGI has no word for."""

    _head: int | None = 0

    def data_received(self, data: bytes) -> None:
        """Take what came; a request line and headers that do not end would be kept for ever."""
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > MAX_HEAD and not self.transport.is_closing():
                self.send_400_response("The request's head is too large.")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head = 0
        self.scope["extensions"] = {CUT: {"cut": partial(cut, self.transport), "is_full": self._is_full}}

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._head = None
        super().on_headers_complete()

    def _is_full(self) -> bool:
        """Whether what is sent has to wait."""
        return self.flow.write_paused


class WebSockets(WebSocketsSansIOProtocol):
    """The same for WebSockets."""

    async def run_asgi(self) -> None:
        """Serve one; a client that takes nothing would keep a closed connection open."""
        self.scope["extensions"][CUT] = {"cut": partial(cut, self.transport), "is_full": self._is_full}
        await super().run_asgi()
        self.loop.call_later(self.close_timeout, self._part)

    def keepalive_timeout(self) -> None:
        """The client answers no ping."""
        super().keepalive_timeout()
        self.loop.call_later(LINGER_S, self._part)

    def _is_full(self) -> bool:
        return not self.writable.is_set()

    def _part(self) -> None:
        if not self.disconnected:
            cut(self.transport)


OPTIONS: dict[str, Any] = {
    "http": Http,
    "ws": WebSockets,
    "ws_max_size": MAX_MESSAGE,
    "ws_per_message_deflate": False,  # it keeps tens of KB for each socket, and our messages are short
}
"""What uvicorn is told, in tests too."""


def proxies(trusted: str) -> dict[str, Any]:
    """What uvicorn is told of the proxies before us: it takes a caller's address and scheme from them alone.

    By itself it believes whoever calls from this machine, and limits by address would then hold nobody.
    """
    return {"proxy_headers": bool(trusted), "forwarded_allow_ips": trusted}
