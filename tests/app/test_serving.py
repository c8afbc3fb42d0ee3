"""What our server adds to uvicorn's; that it cuts slow clients stands in tests/schema/test_streams.py."""

import asyncio
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.anyio


async def test_a_head_that_does_not_end_is_refused_and_not_kept(live: str) -> None:
    address = urlsplit(live)
    for endless in (b"GET /" + b"x" * 70_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 12_000):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(endless)
        async with asyncio.timeout(20):
            answer = await reader.read()  # to its end: the server closed the connection
        assert answer.startswith(b"HTTP/1.1 400 "), answer
        writer.close()


async def test_a_body_is_not_held_to_the_bound_of_a_head(live: str) -> None:
    address = urlsplit(live)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for _ in range(2):  # on one connection
        body = b'{"query": "{ __typename }", "extensions": {"a": "%s"}}' % (b"x" * 200_000)
        head = b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        assert b"Query" in await reader.readexactly(int(length))
    writer.close()
