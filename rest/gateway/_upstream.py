"""The model server's side of the gateway: one request of ours and its response, or what became of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace

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


@dataclass(slots=True)
class _Connection:
    """Whether a request was sent on a connection that an earlier one had opened."""

    is_reused: bool = False


class UpstreamClient:
    """Sends requests to model servers, on connections that are reused where the server keeps them open.

    llama.cpp closes a connection after a stream without notice. A request that meets that is sent again on a new one.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def post(
        self, upstream: Upstream, endpoint: str, body: bytes
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response with status 200. To exit early closes the connection, which ends the generation.

        Raises `OpenAIError`, and `StaleAddressError` where another address may answer.
        """
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._send(upstream, endpoint, body)
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

    async def _send(self, upstream: Upstream, endpoint: str, body: bytes) -> aiohttp.ClientResponse:
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if upstream.api_key:
            headers["authorization"] = f"Bearer {upstream.api_key}"
        if self._session is None:  # not in __init__: it needs the running event loop
            self._session = _new_session()
        url = f"{upstream.base_url}/{endpoint}"
        while True:
            connection = _Connection()
            try:
                return await self._session.post(
                    url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=connection
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not connection.is_reused:  # each turn takes one from the pool, so that there is an end
                    raise


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


def _new_session() -> aiohttp.ClientSession:
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_reuseconn.append(_note_reuse)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=TIMEOUT,
        trace_configs=[tracing],
    )


async def _note_reuse(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.is_reused = True


async def _error(response: aiohttp.ClientResponse) -> Exception:
    body = await read(response, MAX_ERROR)
    error = from_upstream(response.status, body, response.headers.get("retry-after"))
    return StaleAddressError(error) if response.status in STALE else error
