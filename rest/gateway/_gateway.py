"""The OpenAI endpoint of a project's deployments: checks the key and the request, finds the model server, and forwards.

An ASGI application without a framework, for every token passes here. Fields that are unknown here are forwarded, and
what the model server sends is forwarded as it is, but for what `_choices.py` names.
"""

import logging
from datetime import UTC, datetime
from time import perf_counter

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from domain import ids
from domain.errors import INTERNAL_MESSAGE, DomainError, Unavailable
from domain.ids import Noun
from domain.ports.gateway import KeyTable, RequestLogWriter, Route
from domain.ports.model_runtime import ModelFile, ModelRuntime
from rest.gateway._capabilities import check_supported
from rest.gateway._client import ResponseWriter, api_key_of, cancel_on_disconnect, request_body
from rest.gateway._endpoints import ENDPOINTS, PATH
from rest.gateway._errors import NO_RETRY, OpenAIError, from_domain_error, from_runtime_error
from rest.gateway._exchange import Exchange
from rest.gateway._requests import GatewayRequest
from rest.gateway._responses import respond
from rest.gateway._upstream import StaleAddressError, UpstreamClient

logger = logging.getLogger(__name__)


class Gateway:
    """Answers the `ENDPOINTS` below `/public/{project}/` and `/public/{project}/v1/`."""

    def __init__(self, key_table: KeyTable, runtime: ModelRuntime, log_writer: RequestLogWriter) -> None:
        self._key_table = key_table
        self._runtime = runtime
        self._log_writer = log_writer
        self._client = UpstreamClient()

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
        await self._client.aclose()

    async def _dispatch(self, scope: Scope, receive: Receive, response: ResponseWriter) -> None:
        match = PATH.fullmatch(scope["path"])
        if match is None:
            message = f"There is no {scope['path']}; below a project there are {', '.join(ENDPOINTS)}."
            raise OpenAIError(404, message, code="unknown_url")
        project_id, endpoint, model = match.groups()
        _check_method(scope["method"], ENDPOINTS[endpoint or "models/{model}"])
        secret = api_key_of(scope)
        routes = await self._key_table.routes(project_id, secret)  # raises before the body is read
        if endpoint == "models":
            await response.send_json({"object": "list", "data": [_model(route) for route in routes]})
        elif endpoint == "health":
            await _send_health(response, routes)
        elif endpoint is None:
            await response.send_json(_model(await self._key_table.route(project_id, secret, model)))
        else:
            exchange = await self._start(scope, receive, response, project_id, endpoint)
            await self._respond(exchange, receive)

    async def _start(
        self, scope: Scope, receive: Receive, response: ResponseWriter, project_id: str, endpoint: str
    ) -> Exchange:
        """Read the body and find the deployment; a request that fails here is not logged."""
        started_at, date = perf_counter(), datetime.now(UTC)
        request = GatewayRequest.parse(endpoint, await request_body(scope, receive))
        route = await self._key_table.route(project_id, api_key_of(scope), request.model)
        return Exchange(route, request, response, started_at, date)

    async def _respond(self, exchange: Exchange, receive: Receive) -> None:
        """Send the response, and log it whether it succeeds or not."""
        try:
            async with cancel_on_disconnect(receive, exchange.response):
                exchange.request.check()
                await self._answer(exchange)
        except ClientDisconnect:
            exchange.set_disconnected()
        except Exception as error:  # noqa: BLE001 - every error is sent in the protocol
            client_error = _client_error(error, exchange.response.request_id)
            exchange.set_error(client_error)
            await exchange.response.send_error(client_error)
        finally:
            await self._log_writer.write(exchange.log())

    async def _answer(self, exchange: Exchange) -> None:
        """Answer from the model server; a second time where the address from the runtime was out of date."""
        target = exchange.route.target
        try:
            await self._answer_once(exchange)
        except StaleAddressError as stale:
            if exchange.response.started:
                raise stale.error from None
            self._runtime.invalidate(target if isinstance(target, str) else target.model_id)
            try:
                await self._answer_once(exchange)
            except StaleAddressError as again:
                raise again.error from None

    async def _answer_once(self, exchange: Exchange) -> None:
        target = exchange.route.target
        try:
            upstream = await self._runtime.upstream(target)
        except Unavailable as error:
            raise from_runtime_error(error) from error
        is_text_model = isinstance(target, ModelFile)
        check_supported(exchange.request, upstream.capabilities, is_text_model=is_text_model)
        await respond(exchange, self._client, upstream)


def _check_method(method: str, allowed: str) -> None:
    if method != allowed:
        message = f"{method} is not possible here."
        raise OpenAIError(405, message, code="method_not_allowed", headers={"allow": allowed})


def _model(route: Route) -> dict[str, object]:
    created = int(route.created_at.timestamp())
    return {"id": route.model_name, "object": "model", "created": created, "owned_by": "luthier"}


async def _send_health(response: ResponseWriter, routes: list[Route]) -> None:
    """200 where the key opens a model that is READY, which may have to be loaded first; else 503."""
    if not routes:
        raise from_domain_error(Unavailable("No model of this key is ready."))
    await response.send_json({"status": "ok"})


def _client_error(error: Exception, request_id: str) -> OpenAIError:
    """The error for the client; an unexpected one is logged, and the client gets no details."""
    if isinstance(error, OpenAIError):
        return error
    if isinstance(error, DomainError):
        return from_domain_error(error)
    extra = {"request_id": request_id}
    logger.error("Request %s failed in the gateway", request_id, exc_info=error, extra=extra)
    return OpenAIError(500, INTERNAL_MESSAGE, headers=NO_RETRY)
