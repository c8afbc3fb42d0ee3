"""The gateway's side towards its client: a body in, bytes out, and word when the client has gone."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from domain.errors import LimitExceeded
from edge.bearer_tokens import bearer_token
from edge.bodies import header, read_body
from rest.gateway._errors import OpenAIError

BODY_LIMIT = 2 << 20
JSON = (b"content-type", b"application/json")
STREAM = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


Header = tuple[bytes, bytes]


class ClientLeftError(Exception):
    """Nobody is there any more to be answered."""


def bearer(scope: Scope) -> str:
    """The key that the client sent. Raises `OpenAIError` 401 when there is none."""
    secret = bearer_token(header(scope["headers"], b"authorization"))
    if secret is None:
        message = "An API key is needed: send it as `Authorization: Bearer KEY`."
        raise OpenAIError(401, message, code="invalid_api_key")
    return secret


async def request_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body. Raises `OpenAIError` 413 when it is too long, `ClientLeftError` when it breaks off."""
    try:
        return await read_body(scope, receive, BODY_LIMIT)
    except LimitExceeded as error:
        raise OpenAIError(413, error.message, code="request_too_large") from None
    except ClientDisconnect:
        raise ClientLeftError from None


class Reply:
    """One answer, whole or in pieces; every one names its request."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.started = False
        self.ended = False

    async def whole(self, status: int, body: bytes, headers: Iterable[Header] = (JSON,)) -> None:
        """Answer at once."""
        await self._start(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self._body(body, more=False)

    async def piece(self, body: bytes, headers: Iterable[Header]) -> None:
        """A part of a stream. It waits while the client does not read."""
        if not self.started:
            await self._start(200, [*headers, *STREAM])
        await self._body(body, more=True)

    async def end(self) -> None:
        """The stream is whole."""
        await self._body(b"", more=False)

    async def refuse(self, error: OpenAIError) -> None:
        """An error: the answer itself, or an event after which the body breaks off, never ending as if whole."""
        if self.started and not self.ended:
            await self._body(error.event, more=True)
        elif not self.started:
            headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
            await self.whole(error.status, error.body, [JSON, *headers])

    async def _start(self, status: int, headers: list[Header]) -> None:
        self.started = True
        headers.append((b"x-request-id", self.request_id.encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _body(self, body: bytes, *, more: bool) -> None:
        self.ended = not more
        message: Message = {"type": "http.response.body", "body": body, "more_body": more}
        await self._send(message)


@asynccontextmanager
async def while_there(receive: Receive, reply: Reply) -> AsyncIterator[None]:
    """Break the block off when the client goes, with `ClientLeftError`. The body must have been read."""
    task = asyncio.current_task()
    assert task is not None
    left = False

    async def watch() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            pass
        if not reply.ended:  # a server says `disconnect` after a whole answer too
            left = True
            task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if left and task.uncancel() == 0:
            raise ClientLeftError from None
        raise
    finally:
        watcher.cancel()
