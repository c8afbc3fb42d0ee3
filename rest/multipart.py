"""Multipart bodies, parsed while they arrive: whoever reads a part pulls its bytes, and nothing is read ahead."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from domain.errors import Invalid

MAX_PARTS = 1_000
MAX_HEADER = 4_096
"""Bytes of one header of a part; a part has at most eight."""

Event: TypeAlias = MultipartSegment | bytes | None
"""The headers of a part, then its data, then None at its end."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a body. Its chunks can be read once, before the next part is asked for."""

    name: str
    filename: str | None
    content_type: str
    chunks: AsyncIterator[bytes]

    async def text(self, limit: int) -> str:
        """A short field's value; raises `Invalid` when it is longer than `limit` bytes."""
        value = b""
        async for chunk in self.chunks:
            value += chunk
            if len(value) > limit:
                raise _malformed_error(f"The field `{self.name}` is too long.")
        return value.decode(errors="replace").strip()


def boundary_of(request: Request) -> bytes | None:
    """What separates the parts of a body; None when it is not multipart/form-data."""
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get("boundary", "") if media_type == "multipart/form-data" else ""
    return boundary.encode("latin-1") or None


async def parts(request: Request, boundary: bytes) -> AsyncIterator[Part]:
    """The parts of a body in order; raises `Invalid` INVALID_MULTIPART when it is malformed or breaks off."""
    async with aclosing(_events(request, boundary)) as events:
        async for event in events:
            if isinstance(event, MultipartSegment):
                chunks = _chunks(events)
                yield _part(event, chunks)
                async for _ in chunks:  # what the caller has not read
                    pass


async def _events(request: Request, boundary: bytes) -> AsyncGenerator[Event, None]:
    parser = PushMultipartParser(
        boundary,
        max_header_size=MAX_HEADER,
        max_segment_count=MAX_PARTS,
        header_charset="latin-1",  # decodes any bytes; names are read as UTF-8 below
    )
    try:
        async for data in request.stream():  # ends with b"", at which an incomplete body raises
            for event in parser.parse(data):
                yield event
    except ClientDisconnect:
        raise _malformed_error("The upload was cut off.") from None
    except MultipartError as error:
        raise _malformed_error(f"The body is not well-formed multipart: {error}.") from None


async def _chunks(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    async for event in events:
        if not isinstance(event, bytes):
            return
        yield event


def _part(segment: MultipartSegment, chunks: AsyncIterator[bytes]) -> Part:
    return Part(
        name=_utf8(segment.name or ""),
        filename=None if segment.filename is None else _utf8(segment.filename),
        content_type=segment.header("Content-Type", ""),
        chunks=chunks,
    )


def _utf8(text: str) -> str:
    return text.encode("latin-1").decode(errors="replace")


def _malformed_error(message: str) -> Invalid:
    return Invalid(message, reason="INVALID_MULTIPART")
