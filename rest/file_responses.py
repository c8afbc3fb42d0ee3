"""Stored files as responses: range requests, conditional requests, and one chunk in memory at a time."""

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from domain.ports.storage import Storage
from domain.rules import safe_name
from rest.errors import refusal
from rest.streaming import ClosingStreamingResponse

RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE)


class RangeNotSatisfiable(Exception):
    """No byte of the file is in the range."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The first and the last byte that a Range header requests; None is the whole file.

    A header that is not one range of bytes is ignored (RFC 9110, 14.2). Raises `RangeNotSatisfiable`.
    """
    match = RANGE.fullmatch(header.strip()) if header and len(header) < 100 else None
    if match is None or not any(match.groups()):
        return None
    first, last = (int(digits) if digits else None for digits in match.groups())
    if first is None:
        first, last = max(0, size - (last or 0)), None
    if last is not None and last < first:
        return None
    if first >= size:
        raise RangeNotSatisfiable
    return first, size - 1 if last is None else min(last, size - 1)


async def file_response(
    request: Request,
    storage: Storage,
    key: str,
    *,
    filename: str,
    media_type: str,
    size: int,
    etag: str,
    stored_etag: str | None = None,
) -> Response:
    """A stored file of `size` bytes as an attachment, or the requested range of it.

    `etag` identifies its content; `stored_etag` is the ETag that the object in storage must have. The first chunk
    is fetched before the response starts, so that a missing object (`NotFound`), a replaced one (`ObjectChanged`) and
    an unreachable storage (`Unavailable`) get a status of their own.
    """
    headers = {
        "Content-Type": media_type,  # not `media_type`, to which Starlette would add a charset
        "ETag": f'"{etag}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": content_disposition(filename),
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    if _is_not_modified(request, etag):
        return Response(status_code=304, headers=headers)
    try:
        part = byte_range(_range_header(request, etag), size)
    except RangeNotSatisfiable:
        response = refusal(416, "RANGE_NOT_SATISFIABLE", f"The file has {size:,} bytes.", {"sizeBytes": size})
        response.headers["Content-Range"] = f"bytes */{size}"
        return response
    first, last = part or (0, size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if part:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    status = 206 if part else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    body = await _prefetched(storage.read(key, first, last if part else None, etag=stored_etag))
    return ClosingStreamingResponse(body, status_code=status, headers=headers)


async def _prefetched(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks after reading the first one."""
    first = await anext(chunks, b"")
    return _chain(first, chunks)


async def _chain(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(chunks):  # type: ignore[type-var]  # storage reads with a generator
        yield first
        async for chunk in chunks:
            yield chunk


def _is_not_modified(request: Request, etag: str) -> bool:
    """Whether If-None-Match has this ETag, weak or strong."""
    header = request.headers.get("if-none-match", "").strip()
    return header == "*" or f'"{etag}"' in (tag.strip().removeprefix("W/") for tag in header.split(","))


def _range_header(request: Request, etag: str) -> str | None:
    """The Range header; None where If-Range has another ETag."""
    condition = request.headers.get("if-range")
    return request.headers.get("range") if condition in {None, f'"{etag}"'} else None


def content_disposition(filename: str) -> str:
    """A Content-Disposition that every browser reads, whatever the name (RFC 6266)."""
    plain = safe_name(filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
