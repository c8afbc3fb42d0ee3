"""What our server adds to uvicorn's; that it cuts slow clients stands in tests/schema/http/test_streams.py."""

import asyncio
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from app.serving import OPTIONS, proxies

pytestmark = pytest.mark.anyio


async def test_a_head_that_does_not_end_is_refused_and_not_kept(live: str) -> None:
    address = urlsplit(live)
    for endless in (b"GET /" + b"x" * 70_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 12_000):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(endless)
        async with asyncio.timeout(20):
            response = await reader.read()  # to its end: the server closed the connection
        assert response.startswith(b"HTTP/1.1 400 "), response
        writer.close()


async def test_the_bound_of_a_head_does_not_apply_to_a_body(live: str) -> None:
    address = urlsplit(live)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for _ in range(2):  # on one connection
        body = b'{"query": "{ __typename }", "extensions": {"a": "%s"}}' % (b"x" * 200_000)
        head = b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        response = await reader.readuntil(b"\r\n\r\n")
        assert response.startswith(b"HTTP/1.1 200 "), response
        length = response.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        assert b"Query" in await reader.readexactly(int(length))
    writer.close()


async def caller(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that responds with the scheme and the client's address of the request."""
    request = Request(scope)
    assert request.client is not None
    await PlainTextResponse(f"{request.url.scheme} {request.client.host}")(scope, receive, send)


@pytest.mark.parametrize(
    ("trusted", "peer", "seen"),
    [
        ("", "127.0.0.1", "http 127.0.0.1"),
        ("", "192.0.2.1", "http 192.0.2.1"),
        ("192.0.2.1", "127.0.0.1", "http 127.0.0.1"),
        ("192.0.2.1", "192.0.2.1", "https 203.0.113.9"),
        ("192.0.2.1, 198.51.100.0/24", "198.51.100.7", "https 203.0.113.9"),
        ("192.0.2.1, 198.51.100.0/24", "198.51.101.7", "http 198.51.101.7"),
    ],
)
async def test_forwarded_headers_are_read_from_trusted_proxies_only(
    trusted: str, peer: str, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own variable, which is no setting of ours
    config = uvicorn.Config(caller, log_config=None, **OPTIONS, **proxies(trusted))
    config.load()
    transport = httpx.ASGITransport(config.loaded_app, client=(peer, 4711))
    headers = {"x-forwarded-for": "6.6.6.6, 203.0.113.9", "x-forwarded-proto": "https"}
    async with httpx.AsyncClient(transport=transport, base_url="http://luthier.test") as client:
        assert (await client.get("/", headers=headers)).text == seen
