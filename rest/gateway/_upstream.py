"""The model server's side of the gateway: one request of ours and its response, or what became of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from domain.ports.model_runtime import Upstream
from rest.gateway._client import Header
from rest.gateway._errors import NO_RETRY, OpenAIError, from_upstream

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=600.0)
"""A model may take ten minutes between two bytes."""
KEEPALIVE_S = 2.0
"""How long an idle connection is reused. Less than any model server's, as a request on a closed one would fail."""
MAX_RESPONSE = 32 << 20
MAX_ERROR = 64 << 10
"""Bytes of the body of a response, and of an error response."""
STALE = {401, 404}
"""The statuses of another model's server, which has the address of one that was unloaded."""


class StaleAddressError(Exception):
    """The address from the runtime is out of date, and nothing was generated; `error` is sent if this repeats."""

    def __init__(self, error: OpenAIError) -> None:
        super().__init__(error.message)
        self.error = error


class UpstreamClient:
    """Sends requests to model servers.

    A connection is not reused after a stream: llama.cpp closes it without notice, and the next request on it would fail.
    """

    def __init__(self) -> None:
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def aclose(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            await session.close()

    @asynccontextmanager
    async def post(
        self, upstream: Upstream, endpoint: str, body: bytes, *, is_streamed: bool
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response with status 200. To exit early closes the connection, which ends the generation.

        Raises `OpenAIError`, and `StaleAddressError` where another address may answer.
        """
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._send(upstream, endpoint, body, is_streamed=is_streamed)
            if response.status != 200:
                raise await _error(response)
            yield response
        except aiohttp.ClientConnectorError as error:
            down = OpenAIError(502, "The model server does not answer.", code="upstream_down")
            raise StaleAddressError(down) from error
        except TimeoutError as error:
            message = "The model server did not answer in time."
            raise OpenAIError(504, message, code="upstream_timeout", headers=NO_RETRY) from error
        except aiohttp.ClientError as error:
            message = "The model server broke off."
            raise OpenAIError(502, message, code="upstream_broke_off", headers=NO_RETRY) from error
        finally:
            if response is not None:
                response.close()

    async def _send(
        self, upstream: Upstream, endpoint: str, body: bytes, *, is_streamed: bool
    ) -> aiohttp.ClientResponse:
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if upstream.api_key:
            headers["authorization"] = f"Bearer {upstream.api_key}"
        if is_streamed not in self._sessions:  # not in __init__: it needs the running event loop
            self._sessions[is_streamed] = _new_session(reuses_connections=not is_streamed)
        url = f"{upstream.base_url}/{endpoint}"
        return await self._sessions[is_streamed].post(url, data=body, headers=headers, allow_redirects=False)


async def read(response: aiohttp.ClientResponse, limit: int = MAX_RESPONSE) -> bytes:
    """The whole body; raises `OpenAIError` 502 where it has more than `limit` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            message = "The model server's response is too long."
            raise OpenAIError(502, message, code="upstream_error", headers=NO_RETRY)
    return bytes(body)


def forwarded_headers(response: aiohttp.ClientResponse) -> list[Header]:
    """The headers that the client gets."""
    return [(b"content-type", response.headers.get("content-type", "application/json").encode())]


def _new_session(*, reuses_connections: bool) -> aiohttp.ClientSession:
    keepalive = {"keepalive_timeout": KEEPALIVE_S} if reuses_connections else {"force_close": True}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, **keepalive),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=TIMEOUT,
    )


async def _error(response: aiohttp.ClientResponse) -> Exception:
    body = await read(response, MAX_ERROR)
    error = from_upstream(response.status, body, response.headers.get("retry-after"))
    return StaleAddressError(error) if response.status in STALE else error
