"""The client's side of the gateway: its key, its body, the response to it, and its disconnect."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from domain.errors import Invalid, LimitExceeded
from edge import event_streams
from edge.bearer_tokens import bearer_token
from edge.bodies import UNCOMPRESSED_ONLY, header, read_body, require_uncompressed
from rest.gateway._errors import OpenAIError

MAX_BODY = 2 << 20
"""Bytes of a request's body."""
JSON_HEADER = (b"content-type", b"application/json")
STREAM_HEADERS = [(name.encode(), value.encode()) for name, value in event_streams.HEADERS.items()]


Header = tuple[bytes, bytes]


def api_key_of(scope: Scope) -> str:
    """The API key of a request; raises `OpenAIError` 401 without one."""
    secret = bearer_token(header(scope["headers"], b"authorization"))
    if secret is None:
        message = "An API key is needed: send it as `Authorization: Bearer KEY`."
        raise OpenAIError(401, message, code="invalid_api_key")
    return secret


async def request_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body; raises `OpenAIError` 413 when it is too long, 415 when compressed, and `ClientDisconnect`."""
    try:
        require_uncompressed(scope["headers"])
        return await read_body(scope, receive, MAX_BODY)
    except LimitExceeded as error:
        raise OpenAIError(413, error.message, code="request_too_large") from None
    except Invalid as error:
        raise OpenAIError(
            415, error.message, code="unsupported_media_type", headers=UNCOMPRESSED_ONLY
        ) from None


class ResponseWriter:
    """Sends one response, whole or as a stream, with the header `x-request-id`."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.started = False
        self.ended = False

    async def send_whole(self, status: int, body: bytes, headers: Iterable[Header] = (JSON_HEADER,)) -> None:
        """Send a response with a body of known length."""
        await self._start(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self._body(body, more=False)

    async def send_json(self, body: object) -> None:
        """Send a JSON body with status 200."""
        await self.send_whole(200, orjson.dumps(body))

    async def send_chunk(self, chunk: bytes, headers: Iterable[Header]) -> None:
        """Send a chunk of a stream, the first one with status 200 and `headers`; waits while the client does not read."""
        if not self.started:
            await self._start(200, [*headers, *STREAM_HEADERS])
        await self._body(chunk, more=True)

    async def end(self) -> None:
        """End the stream."""
        await self._body(b"", more=False)

    async def send_error(self, error: OpenAIError) -> None:
        """Send an error: as the response, or in a started stream as an event, after which the body stays incomplete."""
        if self.started and not self.ended:
            await self._body(error.event, more=True)
        elif not self.started:
            headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
            await self.send_whole(error.status, error.body, [JSON_HEADER, *headers])

    async def _start(self, status: int, headers: list[Header]) -> None:
        self.started = True
        headers.append((b"x-request-id", self.request_id.encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _body(self, body: bytes, *, more: bool) -> None:
        self.ended = not more
        message: Message = {"type": "http.response.body", "body": body, "more_body": more}
        await self._send(message)


@asynccontextmanager
async def cancel_on_disconnect(receive: Receive, response: ResponseWriter) -> AsyncIterator[None]:
    """Cancel the block when the client disconnects; raises `ClientDisconnect`. The body must have been read."""
    task = asyncio.current_task()
    assert task is not None
    disconnected = False

    async def watch() -> None:
        nonlocal disconnected
        while (await receive())["type"] != "http.disconnect":
            pass
        if not response.ended:  # ASGI sends `http.disconnect` after a complete response too
            disconnected = True
            task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if disconnected and task.uncancel() == 0:
            raise ClientDisconnect from None
        raise
    finally:
        watcher.cancel()
