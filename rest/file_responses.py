"""Stored files as responses: ranges, revalidation, and never more than a chunk in memory."""

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from domain.ports.storage import Storage
from domain.rules import safe_name
from rest.errors import refusal
from rest.streaming import Streamed

RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE)


class Unsatisfiable(Exception):
    """No byte of the file is in the range."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The first and the last byte that a Range header asks of a file; None means all of it.

    What is not one range of bytes is ignored, as HTTP has it. Raises `Unsatisfiable`.
    """
    found = RANGE.fullmatch(header.strip()) if header and len(header) < 100 else None
    if found is None or not any(found.groups()):
        return None
    first, last = (int(it) if it else None for it in found.groups())
    if first is None:
        first, last = max(0, size - (last or 0)), None
    if last is not None and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return first, size - 1 if last is None else min(last, size - 1)


async def ranged(
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
    """A stored file of `size` bytes as an attachment, or the part of it that is asked for.

    `etag` names these bytes and no others; `stored_etag` is what storage must call them still. The first
    chunk is fetched before the answer begins, so that an object that is missing (`NotFound`) or another
    one (`Changed`), and a storage that is away (`Unavailable`), are answered as such.
    """
    headers = {
        "Content-Type": media_type,  # said here, or a charset would be added that nobody knows
        "ETag": f'"{etag}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": attachment(filename),
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    if _is_known(request, etag):
        return Response(status_code=304, headers=headers)
    try:
        part = byte_range(_wanted(request, etag), size)
    except Unsatisfiable:
        answer = refusal(416, "RANGE_NOT_SATISFIABLE", f"The file has {size:,} bytes.", {"sizeBytes": size})
        answer.headers["Content-Range"] = f"bytes */{size}"
        return answer
    first, last = part or (0, size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if part:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    status = 206 if part else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    body = await _opened(storage.read(key, first, last if part else None, etag=stored_etag))
    return Streamed(body, status_code=status, headers=headers)


async def _opened(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, of which the first is there already."""
    start = await anext(chunks, b"")
    return _continued(start, chunks)


async def _continued(start: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(chunks):  # type: ignore[type-var]  # storage reads with a generator
        yield start
        async for chunk in chunks:
            yield chunk


def _is_known(request: Request, etag: str) -> bool:
    """Whether the client has these bytes already."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or f'"{etag}"' in (it.strip().removeprefix("W/") for it in given.split(","))


def _wanted(request: Request, etag: str) -> str | None:
    """The Range header, unless If-Range says that it was meant for other bytes."""
    condition = request.headers.get("if-range")
    return request.headers.get("range") if condition in {None, f'"{etag}"'} else None


def attachment(filename: str) -> str:
    """A Content-Disposition that every browser reads, whatever the name (RFC 6266)."""
    plain = safe_name(filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
