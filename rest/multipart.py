"""Multipart bodies read as they arrive: whoever takes a part pulls its bytes, and nothing runs ahead of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from domain.errors import Invalid


@dataclass(slots=True)
class _Begun:
    """A part's headers, which end before its data begins."""

    headers: dict[bytes, bytes] = field(default_factory=dict)


class _Ended:
    """The end of a part."""


Event = _Begun | bytes | _Ended


class _Events:
    """What the parser finds in the bytes that it is given."""

    def __init__(self, boundary: bytes) -> None:
        self.found: list[Event] = []
        self.is_whole = False
        self._part = _Begun()
        self._name = self._value = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_begin,
                "on_header_begin": self._on_header_begin,
                "on_header_field": self._on_header_name,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def feed(self, data: bytes) -> list[Event]:
        """What begins, is and ends in these bytes; raises `Invalid` when they are no multipart."""
        self.found = []
        try:
            self._parser.write(data)
        except FormParserError:
            raise _malformed("The body is not well-formed multipart.") from None
        return self.found

    def _on_begin(self) -> None:
        self._part = _Begun()

    def _on_header_begin(self) -> None:
        self._name = self._value = b""

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._part.headers[self._name.lower()] = self._value

    def _on_headers_finished(self) -> None:
        self.found.append(self._part)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self.found.append(data[start:end])

    def _on_part_end(self) -> None:
        self.found.append(_Ended())

    def _on_end(self) -> None:
        self.is_whole = True


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
                raise _malformed(f"The field `{self.name}` is too long.")
        return value.decode(errors="replace").strip()


def boundary_of(request: Request) -> bytes | None:
    """What separates the parts of a body; None when it is no multipart."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    return (options.get(b"boundary") or None) if kind == b"multipart/form-data" else None


async def parts(request: Request, boundary: bytes) -> AsyncIterator[Part]:
    """The parts of a body in order; raises `Invalid` when it is malformed or cut off."""
    events = _read(request, boundary)
    async for event in events:
        if isinstance(event, _Begun):
            chunks = _until_end(events)
            yield _part(event.headers, chunks)
            async for _ in chunks:  # what nobody wanted
                pass


async def _read(request: Request, boundary: bytes) -> AsyncIterator[Event]:
    parser = _parser(boundary)
    try:
        async for data in request.stream():
            for event in parser.feed(data):
                yield event
    except ClientDisconnect:
        raise _malformed("The upload was cut off.") from None
    if not parser.is_whole:
        raise _malformed("The body ends before its last part does.")


def _parser(boundary: bytes) -> _Events:
    try:
        return _Events(boundary)
    except FormParserError:
        raise _malformed("The multipart boundary is too long.") from None


async def _until_end(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    async for event in events:
        if isinstance(event, _Ended):
            return
        if isinstance(event, bytes):
            yield event


def _part(headers: dict[bytes, bytes], chunks: AsyncIterator[bytes]) -> Part:
    _, options = parse_options_header(headers.get(b"content-disposition", b""))
    filename = options.get(b"filename")
    return Part(
        name=options.get(b"name", b"").decode(errors="replace"),
        filename=None if filename is None else filename.decode(errors="replace"),
        content_type=headers.get(b"content-type", b"").decode("latin-1"),
        chunks=chunks,
    )


def _malformed(message: str) -> Invalid:
    return Invalid(message, reason="INVALID_MULTIPART")
