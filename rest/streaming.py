"""Bodies of any length: sent in pieces, and closed at once when the client goes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Send

CHUNK = 65_536
"""Characters that are sent at once."""


class Streamed(StreamingResponse):
    """A streamed body whose source is closed at once when the client goes."""

    async def stream_response(self, send: Send) -> None:
        """Send it to its end, or to the client's."""
        async with aclosing(self.body_iterator):  # type: ignore[type-var]  # it is made of a generator
            await super().stream_response(send)


async def in_pieces(lines: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """Lines, many to a piece; the first goes out by itself, for it must not wait for the last."""
    piece, length = list[str](), CHUNK
    async with aclosing(lines):
        async for line in lines:
            piece.append(line)
            length += len(line)
            if length >= CHUNK:
                yield "".join(piece)
                piece, length = [], 0
    yield "".join(piece)
