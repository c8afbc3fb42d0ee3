"""Responses to clients from those of a model server: one as it comes, or several made into one."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import orjson

from domain.ports.model_runtime import Upstream
from edge.event_streams import MEDIA_TYPE
from rest.gateway._bodies import UpstreamBody, upstream_bodies
from rest.gateway._choices import ChoiceReader, SharedFields
from rest.gateway._client import JSON_HEADER, Header
from rest.gateway._endpoints import CHAT
from rest.gateway._errors import NO_RETRY, OpenAIError, from_upstream_event, model_output_error
from rest.gateway._events import DONE, EventReader, data_event
from rest.gateway._exchange import Exchange
from rest.gateway._requests import dicts
from rest.gateway._requirements import unmet_requirement
from rest.gateway._upstream import MAX_RESPONSE, UpstreamClient, forwarded_headers, read

AT_ONCE = 4
"""Requests that one request of a client makes to a model server at a time."""
EVENTS_HEADER = (b"content-type", MEDIA_TYPE.encode())

T = TypeVar("T")


async def respond(exchange: Exchange, client: UpstreamClient, upstream: Upstream) -> None:
    """Send the response to `exchange`; raises `OpenAIError` or `StaleAddressError`."""
    bodies = upstream_bodies(exchange.request, upstream)
    if len(bodies) == 1:
        await _respond_once(exchange, client, upstream, bodies[0])
    else:
        await _SeveralChoices(exchange, client, upstream).respond(bodies)


async def _respond_once(
    exchange: Exchange, client: UpstreamClient, upstream: Upstream, body: UpstreamBody
) -> None:
    request = exchange.request
    echo = request.echo_of(request.prompts[0])
    reader = ChoiceReader(request, exchange.route.model_name, exchange.record, echo=echo)
    async with client.post(upstream, request.endpoint, body.encode()) as response:
        if response.content_type == MEDIA_TYPE:
            await _forward_events(exchange, reader, response)
        else:
            _, whole = reader.read_whole(await read(response))
            _check(exchange)
            await exchange.response.send_whole(200, whole, forwarded_headers(response))


async def _forward_events(exchange: Exchange, reader: ChoiceReader, response: aiohttp.ClientResponse) -> None:
    """Forward events as they arrive, up to one with an error: then llama.cpp closes the connection.

    A stream with an error does not get the end of a complete one.
    """
    events, headers = EventReader(reader.read_event), forwarded_headers(response)
    async for chunk in response.content.iter_any():
        await _send_chunk(exchange, events.feed(chunk), headers)
        if exchange.record.error:
            break
    rest = events.close()
    if not (exchange.response.started or rest):
        raise OpenAIError(502, "The model server sent nothing.", code="upstream_broke_off", headers=NO_RETRY)
    await _finish(exchange, rest, headers)


async def _send_chunk(exchange: Exchange, chunk: bytes, headers: list[Header]) -> None:
    """Send a chunk; an error before the first chunk is raised, for it still can have a status."""
    exchange.check_first_token()
    if exchange.record.error and not exchange.response.started:
        raise from_upstream_event(exchange.record.error)
    if chunk:
        await exchange.response.send_chunk(chunk, headers)


async def _finish(exchange: Exchange, rest: bytes, headers: list[Header]) -> None:
    """End a stream with its last bytes; one with an error, or that is not what the request requires, stays incomplete."""
    if not exchange.record.error:
        _check(exchange)
        await _send_chunk(exchange, rest, headers)
    if exchange.record.error:  # also one in the last bytes
        exchange.record.finish = "error"
    else:
        await exchange.response.end()


def _check(exchange: Exchange) -> None:
    """Raise `OpenAIError` for an error of the model server, and for output that breaks the request."""
    if exchange.record.error:
        raise from_upstream_event(exchange.record.error)
    if problem := unmet_requirement(exchange.request, exchange.record):
        raise model_output_error(problem)


class _SeveralChoices:
    """Several requests to a model server, one for each choice, whose responses become one."""

    def __init__(self, exchange: Exchange, client: UpstreamClient, upstream: Upstream) -> None:
        self._exchange = exchange
        self._client = client
        self._upstream = upstream
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._sending = asyncio.Lock()

    async def respond(self, bodies: Sequence[UpstreamBody]) -> None:
        """Send one response; raises `OpenAIError` or `StaleAddressError` as soon as one request fails."""
        exchange, request = self._exchange, self._exchange.request
        prefix = "chatcmpl" if request.endpoint == CHAT else "cmpl"
        shared = SharedFields(f"{prefix}-{exchange.response.request_id}", int(exchange.date.timestamp()))
        echoes = [
            request.echo_of(prompt) for prompt in request.prompts for _ in range(request.choices_per_prompt)
        ]
        readers = [
            ChoiceReader(
                request, exchange.route.model_name, exchange.record, echo=echo, index=index, shared=shared
            )
            for index, echo in enumerate(echoes)
        ]
        pairs = list(zip(bodies, readers, strict=True))
        if request.is_streamed:
            await self._stream(pairs, shared)
        else:
            await self._send_whole(pairs)

    async def _send_whole(self, pairs: Sequence[tuple[UpstreamBody, ChoiceReader]]) -> None:
        limit = MAX_RESPONSE // len(pairs)
        parts = await _gather(self._whole(body, reader, limit) for body, reader in pairs)
        usage = self._count([reader for _, reader in pairs])
        _check(self._exchange)
        choices = [choice for part in parts for choice in dicts(part.get("choices"))[:1]]
        whole = {name: value for name, value in parts[0].items() if name != "timings"}
        body = orjson.dumps(whole | {"choices": choices, "usage": usage})
        await self._exchange.response.send_whole(200, body, [JSON_HEADER])

    async def _whole(self, body: UpstreamBody, reader: ChoiceReader, limit: int) -> dict[str, Any]:
        async with self._post(body) as response:
            part, _ = reader.read_whole(await read(response, limit))
            return part

    async def _stream(self, pairs: Sequence[tuple[UpstreamBody, ChoiceReader]], shared: SharedFields) -> None:
        await _gather(self._forward(body, reader) for body, reader in pairs)
        usage = self._count([reader for _, reader in pairs])
        rest = data_event(DONE)
        if self._exchange.request.includes_usage:
            chat = self._exchange.request.endpoint == CHAT
            counts: dict[str, Any] = {
                "id": shared.id,
                "object": "chat.completion.chunk" if chat else "text_completion",
                "created": shared.created,
                "model": self._exchange.route.model_name,
                "choices": [],
                "usage": usage,
            }
            rest = data_event(orjson.dumps(counts)) + rest
        await _finish(self._exchange, rest, [EVENTS_HEADER])

    async def _forward(self, body: UpstreamBody, reader: ChoiceReader) -> None:
        """Forward the events of one choice, between those of the others."""
        events = EventReader(reader.read_event, keeps_done=False)
        async with self._post(body) as response:
            if response.content_type != MEDIA_TYPE:
                reader.read_whole(await read(response))
                raise OpenAIError(
                    502, "The model server did not stream.", code="upstream_error", headers=NO_RETRY
                )
            async for chunk in response.content.iter_any():
                await self._send(events.feed(chunk))
            await self._send(events.close())

    async def _send(self, chunk: bytes) -> None:
        if self._exchange.record.error:
            raise from_upstream_event(self._exchange.record.error)
        if chunk:
            async with self._sending:
                await _send_chunk(self._exchange, chunk, [EVENTS_HEADER])

    @asynccontextmanager
    async def _post(self, body: UpstreamBody) -> AsyncIterator[aiohttp.ClientResponse]:
        request = self._exchange.request
        async with (
            self._slots,
            self._client.post(self._upstream, request.endpoint, body.encode()) as response,
        ):
            yield response

    def _count(self, readers: Sequence[ChoiceReader]) -> dict[str, int]:
        """The tokens of all choices; those of a prompt once, however many choices it has, as OpenAI counts them."""
        record, count = self._exchange.record, self._exchange.request.choices_per_prompt
        prompt = sum(reader.usage.prompt for reader in readers[::count])
        completion = sum(reader.usage.completion for reader in readers)
        record.prompt_tokens, record.completion_tokens = prompt, completion
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def _gather(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in order; the first failure cancels the others, and is raised once they have ended."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
