"""uvicorn's options and protocols: bounded request heads and messages, connections that can be aborted, proxies."""

import asyncio
import socket
import struct
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from edge.slow_clients import TRANSPORT

MAX_HEAD = 65_536
"""Bytes of a request line and its headers."""
MAX_MESSAGE = 262_144
"""Bytes of a WebSocket message; as many as of a GraphQL request's body."""
CLOSE_TIMEOUT_S = 5.0
"""How long a WebSocket whose client answers no ping may take to close before it is aborted."""


def abort(transport: asyncio.Transport) -> None:
    """End a connection at once with a TCP reset, and drop what is not sent, also in the kernel's buffer."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Http(HttpToolsProtocol):
    """HTTP/1.1 with a bound on the request's head, and an ASGI extension to abort the connection."""

    _head_bytes: int | None = 0

    def data_received(self, data: bytes) -> None:
        """Parse data; a head that does not end would be buffered without a bound."""
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD and not self.transport.is_closing():
                self.send_400_response("The request's head is too large.")

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._head_bytes = 0
        extension: dict[object, object] = {
            "abort": partial(abort, self.transport),
            "is_write_paused": self._is_write_paused,
        }
        self.scope["extensions"] = {TRANSPORT: extension}

    def on_headers_complete(self) -> None:
        """Stop counting: what follows is the body."""
        self._head_bytes = None
        super().on_headers_complete()

    def _is_write_paused(self) -> bool:
        return self.flow.write_paused


class WebSockets(WebSocketsSansIOProtocol):
    """WebSockets with the same ASGI extension, which are aborted when their client does not close them in time."""

    async def run_asgi(self) -> None:
        """Run the application, and abort the connection where the client does not answer the close."""
        extension: dict[object, object] = {
            "abort": partial(abort, self.transport),
            "is_write_paused": self._is_write_paused,
        }
        self.scope["extensions"][TRANSPORT] = extension
        await super().run_asgi()
        self.loop.call_later(self.close_timeout, self._abort_unless_closed)

    def keepalive_timeout(self) -> None:
        """Close the connection, whose client answers no ping."""
        super().keepalive_timeout()
        self.loop.call_later(CLOSE_TIMEOUT_S, self._abort_unless_closed)

    def _is_write_paused(self) -> bool:
        return not self.writable.is_set()

    def _abort_unless_closed(self) -> None:
        if not self.disconnected:
            abort(self.transport)


OPTIONS: dict[str, Any] = {
    "http": Http,
    "ws": WebSockets,
    "ws_max_size": MAX_MESSAGE,
    "ws_per_message_deflate": False,  # it costs tens of KB for each socket, and our messages are short
}
"""Keyword arguments of `uvicorn.Config`, in tests too."""


def proxies(trusted: str) -> dict[str, Any]:
    """Keyword arguments of `uvicorn.Config`: only `trusted` addresses may set a caller's address and scheme.

    uvicorn's default trusts every caller on this machine, and rate limits by address would then bound nobody.
    """
    return {"proxy_headers": bool(trusted), "forwarded_allow_ips": trusted}
