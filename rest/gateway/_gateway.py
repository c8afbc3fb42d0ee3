"""The OpenAI endpoint of a project's deployments: checks the key, finds the model server, and forwards the bytes.

An ASGI application without a framework, for every token passes here. Bodies are not validated: unknown fields are
forwarded. The log is written from a parsed copy.
"""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import perf_counter

import aiohttp
import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from domain import ids
from domain.errors import INTERNAL_MESSAGE, DomainError
from domain.ids import Noun
from domain.ports.gateway import KeyTable, RequestLogWriter
from domain.ports.model_runtime import ModelRuntime, Upstream
from edge.event_streams import MEDIA_TYPE
from rest.gateway._client import (
    Header,
    ResponseWriter,
    api_key_of,
    cancel_on_disconnect,
    request_body,
)
from rest.gateway._errors import NO_RETRY, OpenAIError, from_domain_error, from_upstream, from_upstream_event
from rest.gateway._exchange import Exchange
from rest.gateway._payloads import EventFilter, GatewayRequest

logger = logging.getLogger(__name__)


ENDPOINTS = {"chat/completions": "POST", "completions": "POST", "models": "GET"}
"""The paths below a project, and their methods."""
PATH = re.compile(rf"/public/([^/]+)/(?:v1/)?({'|'.join(ENDPOINTS)})/?$")
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=600.0)
"""A model may take ten minutes between two bytes."""
KEEPALIVE_S = 2.0
"""How long an idle connection is reused. Less than any model server's, as a request on a closed one would fail."""
MAX_RESPONSE = 32 << 20
MAX_ERROR = 64 << 10
"""Bytes of the body of a response, and of an error response."""
STALE = {401, 404}
"""The statuses of another model's server, which has the address of one that was unloaded."""


class _StaleAddressError(Exception):
    """The address from the runtime is out of date, and nothing was generated; `error` is sent if this repeats."""

    def __init__(self, error: OpenAIError) -> None:
        super().__init__(error.message)
        self.error = error


class Gateway:
    """Answers `POST /public/{project}/[v1/]chat/completions` and `.../completions`, and `GET .../models`."""

    def __init__(self, key_table: KeyTable, runtime: ModelRuntime, log_writer: RequestLogWriter) -> None:
        self._key_table = key_table
        self._runtime = runtime
        self._log_writer = log_writer
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request: this is the ASGI application."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})  # refuses the handshake with 403
            return
        response = ResponseWriter(send, ids.new(Noun.REQUEST_LOG))
        try:
            await self._dispatch(scope, receive, response)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - every error is sent in the protocol
            await response.send_error(_client_error(error, response.request_id))

    async def aclose(self) -> None:
        """Close the connections to model servers."""
        if self._session is not None:
            await self._session.close()

    async def _dispatch(self, scope: Scope, receive: Receive, response: ResponseWriter) -> None:
        match = PATH.search(scope["path"])
        if match is None:
            raise OpenAIError(404, f"There is no {scope['path']}.", code="unknown_url")
        project_id, endpoint = match.groups()
        if scope["method"] != ENDPOINTS[endpoint]:
            raise OpenAIError(405, f"{scope['method']} is not possible here.", code="method_not_allowed")
        if endpoint == "models":
            await self._list_models(project_id, api_key_of(scope), response)
            return
        exchange = await self._start(scope, receive, response, project_id, endpoint)
        await self._respond(exchange, receive)

    async def _list_models(self, project_id: str, secret: str, response: ResponseWriter) -> None:
        names = await self._key_table.model_names(project_id, secret)
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "luthier"} for name in names]
        await response.send_whole(200, orjson.dumps({"object": "list", "data": models}))

    async def _start(
        self, scope: Scope, receive: Receive, response: ResponseWriter, project_id: str, endpoint: str
    ) -> Exchange:
        """Check the key, read the body and find the deployment; a request that fails here is not logged."""
        started_at, date = perf_counter(), datetime.now(UTC)
        secret = api_key_of(scope)
        await self._key_table.model_names(project_id, secret)  # raises before the body is read
        request = GatewayRequest.parse(await request_body(scope, receive))
        route = await self._key_table.route(project_id, secret, request.model)
        return Exchange(route, request, endpoint, response, started_at, date)

    async def _respond(self, exchange: Exchange, receive: Receive) -> None:
        """Send the response, and log it whether it succeeds or not."""
        try:
            async with cancel_on_disconnect(receive, exchange.response):
                await self._forward(exchange)
        except ClientDisconnect:
            exchange.set_disconnected()
        except Exception as error:  # noqa: BLE001 - every error is sent in the protocol
            client_error = _client_error(error, exchange.response.request_id)
            exchange.set_error(client_error)
            await exchange.response.send_error(client_error)
        finally:
            await self._log_writer.write(exchange.log())

    async def _forward(self, exchange: Exchange) -> None:
        """Forward to the model server; a second time where the address from the runtime was out of date."""
        target = exchange.route.target
        try:
            await self._forward_once(exchange)
        except _StaleAddressError:
            self._runtime.invalidate(target if isinstance(target, str) else target.model_id)
            try:
                await self._forward_once(exchange)
            except _StaleAddressError as stale:
                raise stale.error from None

    async def _forward_once(self, exchange: Exchange) -> None:
        upstream = await self._runtime.upstream(exchange.route.target)
        async with self._upstream_response(exchange, upstream) as response:
            if response.status >= 400:
                raise await _upstream_error(response)
            if response.content_type == MEDIA_TYPE:
                await _stream(exchange, response)
            else:
                await _send_whole(exchange, response)

    @asynccontextmanager
    async def _upstream_response(
        self, exchange: Exchange, upstream: Upstream
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The model server's response. To exit early closes the connection, which ends the generation."""
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._post(exchange, upstream)
            yield response
        except aiohttp.ClientConnectorError as error:
            down = OpenAIError(502, "The model server does not answer.", code="upstream_down")
            raise _StaleAddressError(down) from error
        except TimeoutError as error:
            message = "The model server did not answer in time."
            raise OpenAIError(504, message, code="upstream_timeout", headers=NO_RETRY) from error
        except aiohttp.ClientError as error:
            message = "The model server broke off."
            raise OpenAIError(502, message, code="upstream_broke_off", headers=NO_RETRY) from error
        finally:
            if response is not None:
                response.close()

    async def _post(self, exchange: Exchange, upstream: Upstream) -> aiohttp.ClientResponse:
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if upstream.api_key:
            headers["authorization"] = f"Bearer {upstream.api_key}"
        url = f"{upstream.base_url}/{exchange.endpoint}"
        if self._session is None:  # not in __init__: it needs the running event loop
            self._session = _new_session()
        body = exchange.request.encode(upstream.model)
        return await self._session.post(url, data=body, headers=headers, allow_redirects=False)


def _new_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=TIMEOUT,
    )


async def _stream(exchange: Exchange, response: aiohttp.ClientResponse) -> None:
    """Forward events as they arrive; a stream with an error does not get the end of a complete one."""
    events = EventFilter(exchange.record, keep_usage=exchange.request.includes_usage)
    headers = _headers(response)
    async for chunk in response.content.iter_any():
        await _send_chunk(exchange, events.feed(chunk), headers)
    await _send_chunk(exchange, events.close(), headers)
    if not exchange.response.started:
        raise OpenAIError(502, "The model server sent nothing.", code="upstream_broke_off", headers=NO_RETRY)
    if exchange.record.error:
        exchange.record.finish = "error"
    else:
        await exchange.response.end()


async def _send_chunk(exchange: Exchange, chunk: bytes, headers: list[Header]) -> None:
    """Send a chunk; an error before the first chunk is raised, for it still can have a status."""
    exchange.check_first_token()
    if exchange.record.error and not exchange.response.started:
        raise from_upstream_event(exchange.record.error)
    if chunk:
        await exchange.response.send_chunk(chunk, headers)


async def _send_whole(exchange: Exchange, response: aiohttp.ClientResponse) -> None:
    body = await _read(response, MAX_RESPONSE)
    exchange.record.read(body)
    if exchange.record.error:
        raise from_upstream_event(exchange.record.error)
    await exchange.response.send_whole(response.status, body, _headers(response))


async def _upstream_error(response: aiohttp.ClientResponse) -> Exception:
    body = await _read(response, MAX_ERROR)
    error = from_upstream(response.status, body, response.headers.get("retry-after"))
    return _StaleAddressError(error) if response.status in STALE else error


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise OpenAIError(502, "The model server's response is too long.", headers=NO_RETRY)
    return bytes(body)


def _headers(response: aiohttp.ClientResponse) -> list[Header]:
    """The headers that are forwarded."""
    names = ("content-type", "content-encoding")
    return [(name.encode(), response.headers[name].encode()) for name in names if name in response.headers]


def _client_error(error: Exception, request_id: str) -> OpenAIError:
    """The error for the client; an unexpected one is logged, and the client gets no details."""
    if isinstance(error, OpenAIError):
        return error
    if isinstance(error, DomainError):
        return from_domain_error(error)
    extra = {"request_id": request_id}
    logger.error("Request %s failed in the gateway", request_id, exc_info=error, extra=extra)
    return OpenAIError(500, INTERNAL_MESSAGE, headers=NO_RETRY)
