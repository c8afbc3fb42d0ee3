"""The `graphql-transport-ws` protocol, with limits on time, on messages, and on what one client may open."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import ExitStack, suppress
from enum import IntEnum
from typing import Any

from graphql import GraphQLError
from starlette.websockets import WebSocketDisconnect
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
    Operation,
)
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    SubscribeMessage,
)

from domain.errors import RateLimited
from domain.rate_limits import address_key
from edge.connection_quotas import ConnectionQuotas
from schema.http._requests import (
    MAX_BODY_BYTES,
    PersistedQueryNotSupported,
    RequestError,
    graphql_request,
    parse_json,
)
from schema.http._responses import error_entry
from schema.shared.context import GraphQLContext
from schema.shared.errors import mask_error

INIT_TIMEOUT_S = 10.0
"""Seconds within which a client has to send `connection_init`."""
MAX_REASON_BYTES = 123
"""The bytes that a close frame has for its reason."""
MAX_MESSAGE_CHARACTERS = MAX_BODY_BYTES
OPERATION_MESSAGES = ("subscribe", "complete")
CLIENT_MESSAGES = ("connection_init", "ping", "pong", *OPERATION_MESSAGES)

logger = logging.getLogger(__name__)


class CloseCode(IntEnum):
    """The codes that a connection is closed with; those from 4400 on are of `graphql-transport-ws`."""

    MESSAGE_TOO_BIG = 1009
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    INIT_TIMEOUT = 4408
    DUPLICATE_OPERATION = 4409
    TOO_MANY = 4429


class CloseConnection(Exception):
    """Raised to close the connection with a code and a sentence."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class BoundedWebSocket(ASGIWebSocketAdapter):
    """Strawberry's adapter of a WebSocket, with limits on its messages."""

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:  # noqa: ARG002
        """The client's messages until it disconnects; raises `CloseConnection`."""
        with suppress(WebSocketDisconnect):
            while True:
                try:
                    text = await self.ws.receive_text()
                except KeyError:
                    raise CloseConnection(CloseCode.BAD_REQUEST, "A message is text.") from None
                yield _message(text)

    async def close(self, code: int, reason: str) -> None:
        """Close the connection; a reason that is too long is cut."""
        with suppress(WebSocketDisconnect):
            await self.ws.close(code, reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore"))


def _message(text: str) -> dict[str, Any]:
    """The message in a text frame; raises `CloseConnection`."""
    if len(text) > MAX_MESSAGE_CHARACTERS:
        reason = f"A message has at most {MAX_MESSAGE_CHARACTERS:,} characters."
        raise CloseConnection(CloseCode.MESSAGE_TOO_BIG, reason)
    try:
        return _validated(parse_json(text, "The message"))
    except RequestError as error:
        raise CloseConnection(CloseCode.BAD_REQUEST, error.message) from None


def _validated(message: Any) -> dict[str, Any]:
    """The message unchanged; raises `RequestError` unless it is one of the protocol's."""
    if not isinstance(message, dict) or message.get("type") not in CLIENT_MESSAGES:
        raise RequestError(400, "A message is a JSON object with a type of graphql-transport-ws.")
    id = message.get("id")
    if message["type"] in OPERATION_MESSAGES and not (isinstance(id, str) and 1 <= len(id) <= 100):
        raise RequestError(400, "An operation has an `id`, which is text of at most 100 characters.")
    if message["type"] == "subscribe":
        with suppress(PersistedQueryNotSupported):  # which ends its operation alone
            graphql_request(message.get("payload"))
    return message


class BoundedHandler(BaseGraphQLTransportWSHandler[GraphQLContext, None]):
    """Strawberry's handler of one connection, with quotas and timeouts.

    `_acquired` are the connection's quotas; `_unauthenticated` is the one that it counts against until it signs in.
    `_timeout` is first that of `connection_init`, then the expiry of the token.
    """

    websocket: BoundedWebSocket
    _acquired: ExitStack
    _unauthenticated: ExitStack
    _timeout: asyncio.Timeout

    async def handle(self) -> None:
        """Serve the connection until the client closes it, the token expires, or the protocol is violated."""
        with ExitStack() as self._acquired:
            try:
                address = address_key(self.context.address)
                self._unauthenticated = self._acquired.enter_context(
                    self._quotas.unauthenticated_websockets.acquire(address)
                )
                await self._handle_until_timeout()
            except RateLimited as error:
                await self.websocket.close(CloseCode.TOO_MANY, error.message)
            except CloseConnection as error:
                await self.websocket.close(error.code, error.reason)

    async def _handle_until_timeout(self) -> None:
        """Raises `CloseConnection`, and `RateLimited` where the user has too many connections."""
        try:
            async with asyncio.timeout(INIT_TIMEOUT_S) as self._timeout:
                await super().handle()
        except TimeoutError:
            if not self._timeout.expired():
                raise
            if self.connection_acknowledged:
                raise CloseConnection(CloseCode.FORBIDDEN, "The token has expired.") from None
            raise CloseConnection(CloseCode.INIT_TIMEOUT, "Connection initialisation timeout") from None

    def on_request_accepted(self) -> None:
        """Do nothing: strawberry would start a task for the timeout of `connection_init`, which runs already."""

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Authenticate the connection and acknowledge it."""
        if self.connection_init_received:
            raise CloseConnection(CloseCode.TOO_MANY, "Too many initialisation requests")
        self.connection_init_received = True
        payload = message.get("payload") or {}
        if not isinstance(payload, dict):
            raise CloseConnection(CloseCode.BAD_REQUEST, "The payload of connection_init is an object.")
        self.context.connection_params = payload
        await self._authenticate()
        await self.send_message({"type": "connection_ack"})
        self.connection_acknowledged = True

    async def _authenticate(self) -> None:
        """Authenticate the connection, count it as the user's, and limit it to the life of the token.

        Raises `CloseConnection` when the token is missing or invalid, and `RateLimited`.
        """
        await self.view.on_ws_connect(self.context)
        self._acquired.enter_context(self._quotas.websockets.acquire(self.context.client_key))
        self._unauthenticated.close()
        self.websocket.ws.scope["viewer"] = self.context.viewer  # for the log, should the client stop reading
        remaining_s = self.context.token_remaining_s
        self._timeout.reschedule(
            None if remaining_s is None else asyncio.get_running_loop().time() + remaining_s
        )

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Start an operation, unless the connection or the user has too many."""
        id, request_id = message["id"], self.context.request_id
        if not self.connection_acknowledged:
            raise CloseConnection(CloseCode.UNAUTHORIZED, "Unauthorized")
        if id in self.operations:
            raise CloseConnection(CloseCode.DUPLICATE_OPERATION, f"Subscriber for {id} already exists")
        try:
            request = graphql_request(message["payload"])
            quotas = self._acquire_for_operation()
        except PersistedQueryNotSupported as error:
            await self._send_error(id, error_entry(error, request_id))
        except RateLimited as error:
            masked = mask_error(GraphQLError(error.message, original_error=error), request_id)
            await self._send_error(id, masked.formatted)
        else:
            operation = Operation(self, id, request.query, request.variables, request.operation_name)
            self._start(operation, quotas)

    async def _send_error(self, id: str, error: Any) -> None:
        """End an operation that has not started."""
        await self.send_message({"id": id, "type": "error", "payload": [error]})

    def _acquire_for_operation(self) -> ExitStack:
        """The quotas that an operation uses until it ends; raises `RateLimited`."""
        with ExitStack() as quotas:
            quotas.enter_context(self._quotas.operations.acquire(str(id(self))))
            quotas.enter_context(self._quotas.subscriptions.acquire(self.context.client_key))
            return quotas.pop_all()

    def _start(self, operation: Operation[GraphQLContext, None], quotas: ExitStack) -> None:
        operation.task = asyncio.create_task(self.run_operation(operation))
        operation.task.add_done_callback(self._task_done)
        operation.task.add_done_callback(lambda _: quotas.close())
        self.operations[operation.id] = operation

    @property
    def _quotas(self) -> ConnectionQuotas:
        quotas: ConnectionQuotas = self.view.quotas  # type: ignore[attr-defined]  # the view is a GraphQLView
        return quotas

    async def handle_task_exception(self, error: Exception) -> None:
        """Log the error, unless it is that the client has disconnected."""
        if not isinstance(error, WebSocketDisconnected):
            request_id = self.context.request_id
            logger.error("A GraphQL operation failed.", exc_info=error, extra={"request_id": request_id})

    @staticmethod
    def _get_pre_execution_close_reason(error: GraphQLError) -> str | None:  # noqa: ARG004 - strawberry's signature
        """None: the errors of a document end its operation, and leave the connection open."""
        return None
