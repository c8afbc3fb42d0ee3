"""Streamed response bodies, whose source is closed as soon as the client disconnects."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import IO

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

CHUNK = 65_536
"""Characters of one chunk of text."""
FILE_CHUNK = 1_048_576
"""Bytes of one chunk of a file."""


class ClosingStreamingResponse(StreamingResponse):
    """A streaming response that closes its generator also when the body is not sent to its end."""

    async def stream_response(self, send: Send) -> None:
        """Send the body."""
        async with aclosing(self.body_iterator):  # type: ignore[type-var]  # it is made of a generator
            await super().stream_response(send)


class TemporaryFileResponse(StreamingResponse):
    """The whole of an open file, with its length; the file is closed in the end, even if nothing was sent."""

    def __init__(self, file: IO[bytes], *, media_type: str, headers: Mapping[str, str]) -> None:
        length = {"Content-Length": str(file.seek(0, os.SEEK_END))}
        super().__init__(_read_chunks(file), media_type=media_type, headers={**headers, **length})
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        with self._file:
            await super().__call__(scope, receive, send)


async def _read_chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    file.seek(0)
    while chunk := await asyncio.to_thread(file.read, FILE_CHUNK):
        yield chunk


async def batched(lines: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """Lines joined to chunks of at least `CHUNK` characters; the first line is sent at once, as the head of a file."""
    batch, length = list[str](), CHUNK
    async with aclosing(lines):
        async for line in lines:
            batch.append(line)
            length += len(line)
            if length >= CHUNK:
                yield "".join(batch)
                batch, length = [], 0
    yield "".join(batch)
