"""Request ids: one for each request, in the log and in the header `x-request-id`."""

import logging
import re
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


class RequestIds:
    """Puts a request's id into its scope and its response: the caller's `x-request-id` where it is valid, else a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or WebSocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        header = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = header if REQUEST_ID.fullmatch(header) else str(uuid.uuid4())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                if not any(name.lower() == b"x-request-id" for name, _ in headers):
                    message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app({**scope, "request_id": request_id}, receive, send_with_id)
        except Exception:
            if scope["type"] == "websocket":  # Starlette's exception handler is not called for WebSockets
                logger.exception("A WebSocket failed", extra={"request_id": request_id})
            raise
