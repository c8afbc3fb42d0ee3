"""A scripted model server: an OpenAI-compatible one that answers as a good model would, or fails as a prompt requests.

A prompt with `[fault: NAME]` fails: `500`, `429` (the first time only), `breaks_off` and `error_event` in the middle of
a stream, `slow` (no byte before the client disconnects).
"""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.interop.scripted_answers import TOKEN, Answer, chat_answer, completion_answer, text_of
from tests.rest.gateway_fakes import Respond, start, stream

MODEL = "acme/assistant-1"
CREATED = 1_767_225_600
FAULT = re.compile(r"\[fault: (\w+)\]")
FORWARDED_S = 10.0


class ScriptedModel:
    """The server; `app` is its ASGI application."""

    def __init__(self) -> None:
        self.forwarded = asyncio.Event()
        """To be set when a client has been sent something: a stream fails only after its first events were forwarded."""
        self.abandoned = asyncio.Event()
        """Set when the client of a slow request has disconnected."""
        self._limited: set[str] = set()
        self.app = Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/completions", self._completions, methods=["POST"]),
            ]
        )

    async def _models(self, _: Request) -> Response:
        model = {"id": MODEL, "object": "model", "created": CREATED, "owned_by": "acme"}
        return JSONResponse({"object": "list", "data": [model]})

    async def _chat(self, request: Request) -> ASGIApp:
        body = await request.json()
        return await self._respond(request.receive, ChatFormat(body), text_of(body["messages"][-1]))

    async def _completions(self, request: Request) -> ASGIApp:
        body = await request.json()
        return await self._respond(request.receive, CompletionFormat(body), str(body["prompt"]))

    async def _respond(self, receive: Receive, format: "ChatFormat | CompletionFormat", text: str) -> ASGIApp:
        found = FAULT.search(text)
        fault = found[1] if found else ""
        if fault == "slow":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.abandoned.set()
        if fault == "500":
            return _error(500, "The model has failed.")
        if fault == "429" and text not in self._limited:
            self._limited.add(text)
            return _error(429, "Too many requests.", {"retry-after": "1"})
        if format.request.get("stream"):
            return self._stream([_event(chunk) for chunk in format.chunks()], fault)
        return JSONResponse(format.whole())

    def _stream(self, events: list[bytes], fault: str) -> ASGIApp:
        """A stream of events; with a fault, three of them and then what the fault is."""
        if not fault:
            return _responding(stream([*events, b"data: [DONE]\n\n"]))
        error = {"message": "The model has failed.", "type": "server_error", "code": 500}
        ending = _event({"error": error}) if fault == "error_event" else b""

        async def app(_: Scope, __: Receive, send: Send) -> None:
            self.forwarded.clear()
            await start(send, 200, {"content-type": "text/event-stream"})
            await send({"type": "http.response.body", "body": b"".join(events[:3]), "more_body": True})
            async with asyncio.timeout(FORWARDED_S):
                await self.forwarded.wait()
            await send({"type": "http.response.body", "body": ending, "more_body": fault != "error_event"})

        return app


def _responding(respond: Respond) -> ASGIApp:
    """An application with one response."""

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await respond(receive, send)

    return app


class ChatFormat:
    """Responses of `/v1/chat/completions`."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self._answers = [chat_answer(request)] * (request.get("n") or 1)

    def whole(self) -> dict[str, Any]:
        """The response to a request without `stream`."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": answer.text or None} | _tool_calls(answer),
                "logprobs": self._logprobs(answer.tokens),
                "finish_reason": answer.finish_reason,
            }
            for index, answer in enumerate(self._answers)
        ]
        return self._part("chat.completion", choices) | {"usage": self._usage}

    def chunks(self) -> Iterator[dict[str, Any]]:
        """The chunks of a stream."""
        for index, answer in enumerate(self._answers):
            yield self._chunk(index, {"role": "assistant", "content": None if answer.tool_calls else ""})
            for token in answer.tokens:
                yield self._chunk(index, {"content": token}, logprobs=self._logprobs([token]))
            for delta in _tool_call_deltas(answer):
                yield self._chunk(index, {"tool_calls": [delta]})
            yield self._chunk(index, {}, finish_reason=answer.finish_reason)
        if (self.request.get("stream_options") or {}).get("include_usage"):
            yield self._part("chat.completion.chunk", []) | {"usage": self._usage}

    def _chunk(
        self, index: int, delta: dict[str, Any], *, logprobs: Any = None, finish_reason: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return self._part("chat.completion.chunk", [choice])

    def _part(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        name = self.request["model"]
        return {"id": "chatcmpl-1", "object": kind, "created": CREATED, "model": name, "choices": choices}

    def _logprobs(self, tokens: list[str]) -> dict[str, Any] | None:
        if not self.request.get("logprobs"):
            return None
        alternatives = range(self.request.get("top_logprobs") or 0)
        entries = [
            _token(token, -0.25)
            | {"top_logprobs": [_token(token, -0.25 - alternative) for alternative in alternatives]}
            for token in tokens
        ]
        return {"content": entries, "refusal": None}

    @property
    def _usage(self) -> dict[str, int]:
        prompt = sum(len(TOKEN.findall(text_of(message))) for message in self.request["messages"])
        return _usage(prompt, self._answers)


class CompletionFormat:
    """Responses of the legacy `/v1/completions`."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        prompts = request["prompt"] if isinstance(request["prompt"], list) else [request["prompt"]]
        self._prompts = [prompt for prompt in prompts for _ in range(request.get("n") or 1)]
        self._answers = [completion_answer(request, prompt) for prompt in self._prompts]

    def whole(self) -> dict[str, Any]:
        """The response to a request without `stream`."""
        choices = [
            self._choice(index, answer.text, answer.tokens, answer.finish_reason)
            for index, answer in enumerate(self._answers)
        ]
        return self._part(choices) | {"usage": self._usage}

    def chunks(self) -> Iterator[dict[str, Any]]:
        """The chunks of a stream."""
        for index, answer in enumerate(self._answers):
            for token in answer.tokens:
                yield self._part([self._choice(index, token, [token], None)])
            yield self._part([self._choice(index, "", [], answer.finish_reason)])
        if (self.request.get("stream_options") or {}).get("include_usage"):
            yield self._part([]) | {"usage": self._usage}

    def _part(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        name = self.request["model"]
        return {
            "id": "cmpl-1",
            "object": "text_completion",
            "created": CREATED,
            "model": name,
            "choices": choices,
        }

    def _choice(self, index: int, text: str, tokens: list[str], finish_reason: str | None) -> dict[str, Any]:
        return {
            "index": index,
            "text": text,
            "logprobs": self._logprobs(tokens),
            "finish_reason": finish_reason,
        }

    def _logprobs(self, tokens: list[str]) -> dict[str, Any] | None:
        """Log probabilities in the new form, as llama.cpp has them here too: the gateway makes the old one of them."""
        if self.request.get("logprobs") is None:
            return None
        count = max(1, int(self.request["logprobs"]))
        entries = [
            _token(token, -0.25)
            | {"top_logprobs": [_token(token, -0.25 - number) for number in range(count)]}
            for token in tokens
        ]
        return {"content": entries}

    @property
    def _usage(self) -> dict[str, int]:
        return _usage(sum(len(TOKEN.findall(prompt)) for prompt in self._prompts), self._answers)


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    error = {"message": message, "type": "server_error", "param": None, "code": None}
    return JSONResponse({"error": error}, status, headers)


def _usage(prompt: int, answers: list[Answer]) -> dict[str, int]:
    completion = sum(answer.token_count for answer in answers)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _tool_calls(answer: Answer) -> dict[str, Any]:
    """The field `tool_calls` of a message, where there are any."""
    return {"tool_calls": [call.json for call in answer.tool_calls]} if answer.tool_calls else {}


def _tool_call_deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    """Deltas of a stream: for each call its name, and then its arguments in pieces."""
    for index, call in enumerate(answer.tool_calls):
        yield {"index": index} | call.json | {"function": {"name": call.name, "arguments": ""}}
        for piece in TOKEN.findall(call.arguments):
            yield {"index": index, "function": {"arguments": piece}}
