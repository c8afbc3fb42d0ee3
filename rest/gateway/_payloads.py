"""Requests and responses of the protocol, parsed for routing and for the log; the bytes are forwarded unchanged."""

from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from rest.gateway._errors import OpenAIError

MAX_EVENT = 8 << 20
"""Bytes of one event of a model server."""
MAX_OUTPUT = 1 << 20
"""Characters of the output that are logged."""


ENDS = (b"\n\n", b"\r\n\r\n")
"""How an event may end."""


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """The JSON object of a request's body."""

    body: dict[str, Any]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """A request; raises `OpenAIError` 400 unless `raw` is a JSON object."""
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise OpenAIError(
                400, f"The body is not valid JSON: {error.msg}.", code="invalid_json"
            ) from error
        if not isinstance(body, dict):
            raise OpenAIError(400, "The body must be a JSON object.", code="invalid_json")
        return cls(body)

    @property
    def model(self) -> str:
        """The name of the model; raises `OpenAIError` 404 without one."""
        model = self.body.get("model")
        if not isinstance(model, str) or not model:
            raise OpenAIError(404, "`model` must name a model.", code="model_not_found", param="model")
        return model

    @property
    def is_streamed(self) -> bool:
        """Whether the response is to be a stream."""
        return self.body.get("stream") is True

    @property
    def includes_usage(self) -> bool:
        """Whether the client requests the chunk with the token counts."""
        options = self.body.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    @property
    def messages(self) -> Any:
        """The messages of a chat; None for a prompt."""
        return self.body.get("messages")

    @property
    def input(self) -> str:
        """The prompt, or the content of the last message of the user."""
        messages = self.messages
        if not isinstance(messages, list):
            return _prompt(self.body.get("prompt"))
        of_user = [message for message in _dicts(messages) if message.get("role") == "user"]
        return _content(of_user[-1].get("content")) if of_user else ""

    def encode(self, model: str) -> bytes:
        """The body for the model server: with its name of the model, and with token counts of a stream."""
        body = self.body | {"model": model}
        if self.is_streamed:
            options = body.get("stream_options")
            options = options if isinstance(options, dict) else {}
            body["stream_options"] = options | {"include_usage": True}
        return orjson.dumps(body)


@dataclass(slots=True)
class CompletionRecord:
    """What is logged of a response, collected while it is forwarded."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish: str | None = None
    error: Any = None
    has_text: bool = False
    _texts: dict[int, list[str]] = field(default_factory=dict)
    _chars_left: int = MAX_OUTPUT

    @property
    def output(self) -> str | None:
        """The text of all choices, one below the other; None without any."""
        return "\n".join("".join(self._texts[index]) for index in sorted(self._texts)) or None

    def read(self, raw: bytes) -> Any:
        """Read a whole response or the data of one event; returns its JSON, None where it is not JSON."""
        try:
            part = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return None
        if isinstance(part, dict):
            self._read_part(part)
        return part

    def _read_part(self, part: dict[str, Any]) -> None:
        if part.get("error"):
            self.error = part["error"]
        for choice in _dicts(part.get("choices")):
            self._read_choice(choice)
        usage = part.get("usage")
        if isinstance(usage, dict):
            self.prompt_tokens = _count(usage.get("prompt_tokens"))
            self.completion_tokens = _count(usage.get("completion_tokens"))

    def _read_choice(self, choice: dict[str, Any]) -> None:
        message = choice.get("delta") or choice.get("message") or {}
        text = choice.get("text") or (message.get("content") if isinstance(message, dict) else None)
        if isinstance(text, str) and text:
            self.has_text = True
            logged = text[: self._chars_left]
            self._chars_left -= len(logged)
            index = choice.get("index")
            self._texts.setdefault(index if isinstance(index, int) else 0, []).append(logged)
        if isinstance(finish := choice.get("finish_reason"), str):
            self.finish = finish


class EventFilter:
    """Splits a stream into events, reads them into a record, and removes token counts that the client did not request."""

    def __init__(self, record: CompletionRecord, *, keep_usage: bool) -> None:
        self._record = record
        self._keep_usage = keep_usage
        self._buffer = b""

    def feed(self, chunk: bytes) -> bytes:
        """The complete events so far, to be forwarded; raises `OpenAIError` 502 for one longer than `MAX_EVENT`."""
        data = self._buffer + chunk
        end = _last_end(data, max(0, len(self._buffer) - 3))
        self._buffer = data[end:]
        if len(self._buffer) > MAX_EVENT:
            raise OpenAIError(502, "The model server sent an event without end.", code="upstream_error")
        return self._read(data[:end])

    def close(self) -> bytes:
        """The data after the last event, when the stream has ended."""
        events, self._buffer = self._buffer, b""
        return self._read(events)

    def _read(self, events: bytes) -> bytes:
        if not events:
            return b""
        return b"".join(event for event in _split(events) if self._is_forwarded(event))

    def _is_forwarded(self, event: bytes) -> bool:
        data = _data(event)
        if data is None or data == b"[DONE]":
            return True
        part = self._record.read(data)
        return self._keep_usage or not _is_usage(part)


def _last_end(data: bytes, start: int) -> int:
    """The index after the last complete event, 0 without one; `start` skips what has no end of an event."""
    ends = [(data.rfind(end, start), len(end)) for end in ENDS]
    return max(index + length if index >= 0 else 0 for index, length in ends)


def _split(events: bytes) -> list[bytes]:
    """Events with their separators, so that joined they are the same bytes."""
    end = b"\r\n\r\n" if b"\r\n\r\n" in events else b"\n\n"
    parts = events.split(end)
    return [part + end for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _data(event: bytes) -> bytes | None:
    """The data of an event. Some versions of llama.cpp send the field `error` instead."""
    lines = event.splitlines()
    for name in (b"data:", b"error:"):
        values = [line[len(name) :].strip() for line in lines if line.startswith(name)]
        if values:
            data = b"\n".join(values)
            return data if name == b"data:" else b'{"error":' + data + b"}"
    return None


def _is_usage(part: Any) -> bool:
    return isinstance(part, dict) and part.get("choices") == [] and isinstance(part.get("usage"), dict)


def _prompt(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and all(isinstance(text, str) for text in prompt):
        return "\n".join(prompt)
    return "" if prompt is None else orjson.dumps(prompt).decode()


def _content(content: Any) -> str:
    """The text of a message, whose content is text or an array of parts."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in _dicts(content) if isinstance(part.get("text"), str))


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 1 << 31 else None
