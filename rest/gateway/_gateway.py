"""The OpenAI endpoint of a project's deployments: checks the key, finds the model, passes the bytes through.

A raw ASGI application, for this is where every token goes by: nothing is modelled, unknown fields are kept,
and the log is fed by a parsed copy.
"""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import perf_counter

import aiohttp
import orjson
from starlette.types import Receive, Scope, Send

from domain import ids
from domain.errors import DomainError
from domain.ids import Noun
from domain.ports.gateway import Directory, RequestRecorder
from domain.ports.model_runtime import ModelRuntime, Upstream
from rest.gateway._client import ClientLeftError, Header, Reply, bearer, request_body, while_there
from rest.gateway._errors import NO_RETRY, OpenAIError, of_domain, of_event, of_upstream
from rest.gateway._exchange import Exchange
from rest.gateway._payloads import CompletionRequest, Events

logger = logging.getLogger(__name__)


ENDPOINTS = {"chat/completions": "POST", "completions": "POST", "models": "GET"}
"""What it answers below a project, and to which method."""
PATH = re.compile(rf"/public/([^/]+)/(?:v1/)?({'|'.join(ENDPOINTS)})/?$")
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=600.0)
"""A model may think for ten minutes between two bytes."""
IDLE_S = 2.0
"""Shorter than any model server keeps an idle connection: one that it has just closed fails the request."""
LARGEST_ANSWER = 32 << 20
LARGEST_ERROR = 64 << 10
STALE = {401, 404}
"""What a server answers that took over the address of a model which is gone."""


class _StaleError(Exception):
    """What the runtime said was out of date, and nothing has been generated; `error` is for the second time."""

    def __init__(self, error: OpenAIError) -> None:
        super().__init__(error.message)
        self.error = error


class Gateway:
    """Answers `POST /public/{project}/[v1/]chat/completions` and `.../completions`, and `GET .../models`."""

    def __init__(self, directory: Directory, runtime: ModelRuntime, recorder: RequestRecorder) -> None:
        self._directory = directory
        self._runtime = runtime
        self._recorder = recorder
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; this is the ASGI application."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})  # before it was accepted: 403
            return
        reply = Reply(send, ids.new(Noun.REQUEST_LOG))
        try:
            await self._dispatch(scope, receive, reply)
        except ClientLeftError:
            return
        except Exception as error:  # noqa: BLE001 - everything is answered in the protocol
            await reply.refuse(_refusal(error, reply.request_id))

    async def aclose(self) -> None:
        """Let go of the connections to model servers."""
        if self._session is not None:
            await self._session.close()

    async def _dispatch(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        found = PATH.search(scope["path"])
        if found is None:
            raise OpenAIError(404, f"There is no {scope['path']}.", code="unknown_url")
        project_id, endpoint = found.groups()
        if scope["method"] != ENDPOINTS[endpoint]:
            raise OpenAIError(405, f"{scope['method']} is not possible here.", code="method_not_allowed")
        if endpoint == "models":
            await self._list_models(project_id, bearer(scope), reply)
            return
        exchange = await self._begin(scope, receive, reply, project_id, endpoint)
        await self._complete(exchange, receive)

    async def _list_models(self, project_id: str, secret: str, reply: Reply) -> None:
        names = await self._directory.model_names(project_id, secret)
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "luthier"} for name in names]
        await reply.whole(200, orjson.dumps({"object": "list", "data": models}))

    async def _begin(
        self, scope: Scope, receive: Receive, reply: Reply, project_id: str, endpoint: str
    ) -> Exchange:
        """Find out who asks which model what; until then there is nothing to be logged."""
        began, date = perf_counter(), datetime.now(UTC)
        secret = bearer(scope)
        await self._directory.model_names(project_id, secret)  # a stranger's body is not even read
        asked = CompletionRequest.of(await request_body(scope, receive))
        route = await self._directory.route(project_id, secret, asked.model)
        return Exchange(route, asked, endpoint, reply, began, date)

    async def _complete(self, exchange: Exchange, receive: Receive) -> None:
        """Answer; whatever becomes of it is a row in the log."""
        try:
            async with while_there(receive, exchange.reply):
                await self._pass_on(exchange)
        except ClientLeftError:
            exchange.leave()
        except Exception as error:  # noqa: BLE001 - everything is answered in the protocol
            refusal = _refusal(error, exchange.reply.request_id)
            exchange.fail(refusal)
            await exchange.reply.refuse(refusal)
        finally:
            await self._recorder.record(exchange.log())

    async def _pass_on(self, exchange: Exchange) -> None:
        """Ask the model; once more when the runtime sent us where it is no longer."""
        target = exchange.route.target
        try:
            await self._ask_once(exchange)
        except _StaleError:
            self._runtime.forget(target if isinstance(target, str) else target.model_id)
            try:
                await self._ask_once(exchange)
            except _StaleError as stale:
                raise stale.error from None

    async def _ask_once(self, exchange: Exchange) -> None:
        upstream = await self._runtime.upstream(exchange.route.target)
        async with self._response(exchange, upstream) as response:
            if response.status >= 400:
                raise await _upstream_refusal(response)
            if response.content_type == "text/event-stream":
                await _stream(exchange, response)
            else:
                await _answer_whole(exchange, response)

    @asynccontextmanager
    async def _response(
        self, exchange: Exchange, upstream: Upstream
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """What the model server answers. Leaving it early ends the request there, and with it the generation."""
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._post(exchange, upstream)
            yield response
        except aiohttp.ClientConnectorError as error:
            refusal = OpenAIError(502, "The model server does not answer.", code="upstream_down")
            raise _StaleError(refusal) from error
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
        if self._session is None:  # made here: it belongs to the loop that serves
            self._session = _new_session()
        body = exchange.asked.sent(upstream.model)
        return await self._session.post(url, data=body, headers=headers, allow_redirects=False)


def _new_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=TIMEOUT,
    )


async def _stream(exchange: Exchange, response: aiohttp.ClientResponse) -> None:
    """Pass events on as they come; a stream that broke off does not end as if it were whole."""
    events = Events(exchange.answer, keep_usage=exchange.asked.wants_usage)
    headers = _headers(response)
    async for chunk in response.content.iter_any():
        await _send_piece(exchange, events.feed(chunk), headers)
    await _send_piece(exchange, events.close(), headers)
    if not exchange.reply.started:
        raise OpenAIError(502, "The model server sent nothing.", code="upstream_broke_off", headers=NO_RETRY)
    if exchange.answer.error:
        exchange.answer.finish = "error"
    else:
        await exchange.reply.end()


async def _send_piece(exchange: Exchange, piece: bytes, headers: list[Header]) -> None:
    """Nothing is sent before the first event: an error may still become a status of its own."""
    exchange.heard()
    if exchange.answer.error and not exchange.reply.started:
        raise of_event(exchange.answer.error)
    if piece:
        await exchange.reply.piece(piece, headers)


async def _answer_whole(exchange: Exchange, response: aiohttp.ClientResponse) -> None:
    body = await _read(response, LARGEST_ANSWER)
    exchange.answer.take(body)
    if exchange.answer.error:
        raise of_event(exchange.answer.error)
    await exchange.reply.whole(response.status, body, _headers(response))


async def _upstream_refusal(response: aiohttp.ClientResponse) -> Exception:
    body = await _read(response, LARGEST_ERROR)
    refusal = of_upstream(response.status, body, response.headers.get("retry-after"))
    return _StaleError(refusal) if response.status in STALE else refusal


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise OpenAIError(502, "The model server's answer is too long.", headers=NO_RETRY)
    return bytes(body)


def _headers(response: aiohttp.ClientResponse) -> list[Header]:
    """What the client must know of the bytes."""
    names = ("content-type", "content-encoding")
    return [(name.encode(), response.headers[name].encode()) for name in names if name in response.headers]


def _refusal(error: Exception, request_id: str) -> OpenAIError:
    """What the client is told; what is not meant for it goes to our own log."""
    if isinstance(error, OpenAIError):
        return error
    if isinstance(error, DomainError):
        return of_domain(error)
    about = {"request_id": request_id}
    logger.error("Request %s failed inside of the gateway", request_id, exc_info=error, extra=about)
    return OpenAIError(500, "Something went wrong inside of Luthier.", headers=NO_RETRY)
