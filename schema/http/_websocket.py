"""`graphql-transport-ws`, bounded: in time, in messages, in what one user or one address may hold open."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import ExitStack, suppress
from typing import Any

from graphql import GraphQLError
from starlette.websockets import WebSocketDisconnect
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.exceptions import ConnectionRejectionError
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
from schema.http._requests import MAX_BODY, Refused, asked, decoded
from schema.shared.context import GraphQLContext
from schema.shared.errors import clean

INIT_S = 10.0
"""A client says whose it is within this long."""
MAX_REASON = 123
"""Bytes of a close frame's reason."""
OF_OPERATIONS = ("subscribe", "complete")
KINDS = ("connection_init", "ping", "pong", *OF_OPERATIONS)


TOO_BIG, BAD_REQUEST, UNAUTHORIZED, FORBIDDEN = 1009, 4400, 4401, 4403
NO_INIT, ID_TAKEN, TOO_MANY = 4408, 4409, 4429


log = logging.getLogger(__name__)


class Closing(Exception):
    """Why we close a socket: the protocol's code, and a sentence."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class SocketMessages(ASGIWebSocketAdapter):
    """What comes and goes on one socket."""

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:  # noqa: ARG002
        """Messages of the protocol, until the client goes; raises `Closing`."""
        with suppress(WebSocketDisconnect):
            while True:
                try:
                    text = await self.ws.receive_text()
                except KeyError:
                    raise Closing(BAD_REQUEST, "A message is text.") from None
                yield _message(text)

    async def close(self, code: int, reason: str) -> None:
        """Close it, with as much of the reason as fits."""
        with suppress(WebSocketDisconnect):
            await self.ws.close(code, reason.encode()[:MAX_REASON].decode(errors="ignore"))


def _message(text: str) -> dict[str, Any]:
    """A message whose parts are what the protocol says; raises `Closing`."""
    if len(text) > MAX_BODY:
        raise Closing(TOO_BIG, f"A message has at most {MAX_BODY:,} characters.")
    try:
        return _checked(decoded(text, "The message"))
    except Refused as refused:
        raise Closing(BAD_REQUEST, refused.message) from None


def _checked(message: Any) -> dict[str, Any]:
    """The same message; raises `Refused`."""
    if not isinstance(message, dict) or message.get("type") not in KINDS:
        raise Refused(400, "A message is a JSON object with a type of graphql-transport-ws.")
    id = message.get("id")
    if message["type"] in OF_OPERATIONS and not (isinstance(id, str) and 1 <= len(id) <= 100):
        raise Refused(400, "An operation has an `id`, which is text of at most 100 characters.")
    if message["type"] == "subscribe":
        asked(message.get("payload"))
    return message


class Socket(BaseGraphQLTransportWSHandler[GraphQLContext, None]):
    """One connection: strawberry's handler within our bounds."""

    websocket: SocketMessages
    _held: ExitStack
    _unnamed: ExitStack
    _until: asyncio.Timeout

    async def handle(self) -> None:
        """Serve it to its end, which is the client's, the token's, or ours."""
        with ExitStack() as self._held:
            try:
                address = address_key(self.context.address)
                self._unnamed = self._held.enter_context(self._quotas.unauthenticated.acquire(address))
                await self._in_time()
            except RateLimited as error:
                await self.websocket.close(TOO_MANY, error.message)
            except Closing as why:
                await self.websocket.close(why.code, why.reason)

    async def _in_time(self) -> None:
        """Raises `Closing`, and `RateLimited` where the user has too many connections."""
        try:
            async with asyncio.timeout(INIT_S) as self._until:
                await super().handle()
        except TimeoutError:
            if not self._until.expired():
                raise
            if self.connection_acknowledged:
                raise Closing(FORBIDDEN, "The token has expired.") from None
            raise Closing(NO_INIT, "Connection initialisation timeout") from None

    def on_request_accepted(self) -> None:
        """Nothing: the time to say who it is runs already, without a task of its own."""

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Whose it is; from here on its time is the token's, and it counts as the user's."""
        if self.connection_init_received:
            raise Closing(TOO_MANY, "Too many initialisation requests")
        self.connection_init_received = True
        payload = message.get("payload") or {}
        if not isinstance(payload, dict):
            raise Closing(BAD_REQUEST, "The payload of connection_init is an object.")
        self.context.connection_params = payload
        await self._sign_in()
        await self.send_message({"type": "connection_ack"})
        self.connection_acknowledged = True

    async def _sign_in(self) -> None:
        """Raises `Closing` and `RateLimited`."""
        try:
            await self.view.on_ws_connect(self.context)
        except ConnectionRejectionError:
            raise Closing(FORBIDDEN, "Forbidden") from None
        self._held.enter_context(self._quotas.sockets.acquire(self.context.client_key))
        self._unnamed.close()
        self.websocket.ws.scope["viewer"] = self.context.viewer  # for the log, should the client stop reading
        life_s = self.context.token_remaining_s
        self._until.reschedule(None if life_s is None else asyncio.get_running_loop().time() + life_s)

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Begin an operation, where this connection and this user have room for one more."""
        id, payload = message["id"], message["payload"]
        if not self.connection_acknowledged:
            raise Closing(UNAUTHORIZED, "Unauthorized")
        if id in self.operations:
            raise Closing(ID_TAKEN, f"Subscriber for {id} already exists")
        try:
            taken = self._room()
        except RateLimited as error:
            refusal = clean(GraphQLError(error.message, original_error=error), self.context.request_id)
            await self.send_message({"id": id, "type": "error", "payload": [refusal.formatted]})
            return
        variables, name = payload.get("variables"), payload.get("operationName")
        self._begin(Operation(self, id, payload["query"], variables, name), taken)

    def _room(self) -> ExitStack:
        """What an operation holds until it ends; raises `RateLimited`."""
        with ExitStack() as taken:
            taken.enter_context(self._quotas.operations.acquire(str(id(self))))
            taken.enter_context(self._quotas.streams.acquire(self.context.client_key))
            return taken.pop_all()

    def _begin(self, operation: Operation[GraphQLContext, None], taken: ExitStack) -> None:
        operation.task = asyncio.create_task(self.run_operation(operation))
        operation.task.add_done_callback(self._task_done)
        operation.task.add_done_callback(lambda _: taken.close())
        self.operations[operation.id] = operation

    @property
    def _quotas(self) -> ConnectionQuotas:
        quotas: ConnectionQuotas = self.view.quotas  # type: ignore[attr-defined]  # ours
        return quotas

    async def handle_task_exception(self, error: Exception) -> None:
        """A fault of ours is logged; that the client went is none."""
        if not isinstance(error, WebSocketDisconnected):
            log.error("an operation failed", exc_info=error, extra={"request_id": self.context.request_id})

    @staticmethod
    def _get_pre_execution_close_reason(error: GraphQLError) -> str | None:  # noqa: ARG004 - strawberry's shape
        """None: a document that is wrong is this operation's matter, and closes nothing."""
        return None
