"""Request bodies of bounded size."""

from collections.abc import Iterable

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from domain.errors import Invalid, LimitExceeded

UNCOMPRESSED_ONLY = {"Accept-Encoding": "identity"}
"""The header of a response that refuses a compressed body (RFC 9110, 15.5.16)."""


def require_uncompressed(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise `Invalid` BODY_COMPRESSED unless a body is sent without a content coding; its status is 415."""
    codings = b",".join(value for name, value in headers if name == b"content-encoding").split(b",")
    if any(coding.strip().lower() not in {b"", b"identity"} for coding in codings):
        raise Invalid("Send the body uncompressed, without Content-Encoding.", reason="BODY_COMPRESSED")


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body, of at most `limit` bytes: by its Content-Length, and by what is read.

    Raises `LimitExceeded` BODY_TOO_LARGE, and `ClientDisconnect` where the client disconnects before its end.
    """
    declared = header(scope["headers"], b"content-length")
    if len(declared) > len(str(limit)) or (declared.isdigit() and int(declared) > limit):
        raise _too_large_error(limit)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large_error(limit)
        if not message.get("more_body"):
            return bytes(body)


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """The first header of this lower-case name; "" where there is none."""
    return next((value.decode("latin-1") for key, value in headers if key == name), "")


def _too_large_error(limit: int) -> LimitExceeded:
    return LimitExceeded(f"The body is larger than {limit:,} bytes.", reason="BODY_TOO_LARGE")
