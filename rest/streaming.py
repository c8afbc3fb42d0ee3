"""Streamed response bodies, whose source is closed as soon as the client disconnects."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Send

CHUNK = 65_536
"""Characters of one chunk of text."""


class ClosingStreamingResponse(StreamingResponse):
    """A streaming response that closes its generator also when the body is not sent to its end."""

    async def stream_response(self, send: Send) -> None:
        """Send the body."""
        async with aclosing(self.body_iterator):  # type: ignore[type-var]  # it is made of a generator
            await super().stream_response(send)


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
