"""What is asked and what is answered, read from copies: the bytes themselves go through as they are."""

from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from rest.gateway._errors import OpenAIError

LONGEST_EVENT = 8 << 20
"""Bytes: a model server that sends no end of an event is not listened to any longer."""
LONGEST_OUTPUT = 1 << 20
"""Characters of an answer that are kept for the log."""


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A request's body."""

    body: dict[str, Any]

    @classmethod
    def of(cls, raw: bytes) -> Self:
        """Raises `OpenAIError` 400 unless it is a JSON object."""
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
        """Which model; raises `OpenAIError` 404 when none is named."""
        model = self.body.get("model")
        if not isinstance(model, str) or not model:
            raise OpenAIError(404, "`model` must name a model.", code="model_not_found", param="model")
        return model

    @property
    def streamed(self) -> bool:
        """Whether the answer is wanted as a stream."""
        return self.body.get("stream") is True

    @property
    def wants_usage(self) -> bool:
        """Whether the client expects the chunk with the token counts."""
        options = self.body.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    @property
    def messages(self) -> Any:
        """The whole conversation; None for a bare prompt."""
        return self.body.get("messages")

    @property
    def input(self) -> str:
        """The prompt, or what the user said last."""
        messages = self.messages
        if not isinstance(messages, list):
            return _prompt(self.body.get("prompt"))
        said = [it for it in messages if isinstance(it, dict) and it.get("role") == "user"]
        return _content(said[-1].get("content")) if said else ""

    def sent(self, model: str) -> bytes:
        """The body for the model server: its own name of the model, and token counts in any case."""
        body = self.body | {"model": model}
        if self.streamed:
            options = body.get("stream_options")
            given = options if isinstance(options, dict) else {}
            body["stream_options"] = given | {"include_usage": True}
        return orjson.dumps(body)


@dataclass(slots=True)
class RecordedAnswer:
    """What was answered, gathered as it passes."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish: str | None = None
    error: Any = None
    has_text: bool = False
    _texts: dict[int, list[str]] = field(default_factory=dict)
    _room: int = LONGEST_OUTPUT

    @property
    def output(self) -> str | None:
        """The text of all choices; None when there was none."""
        return "\n".join("".join(self._texts[index]) for index in sorted(self._texts)) or None

    def take(self, raw: bytes) -> Any:
        """Read a whole answer or the data of one event; the JSON, or None when it is none."""
        try:
            part = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return None
        if isinstance(part, dict):
            self._take_part(part)
        return part

    def _take_part(self, part: dict[str, Any]) -> None:
        if part.get("error"):
            self.error = part["error"]
        for choice in _dicts(part.get("choices")):
            self._take_choice(choice)
        usage = part.get("usage")
        if isinstance(usage, dict):
            self.prompt_tokens = _count(usage.get("prompt_tokens"))
            self.completion_tokens = _count(usage.get("completion_tokens"))

    def _take_choice(self, choice: dict[str, Any]) -> None:
        said = choice.get("delta") or choice.get("message") or {}
        text = choice.get("text") or (said.get("content") if isinstance(said, dict) else None)
        if isinstance(text, str) and text:
            self.has_text = True
            kept = text[: self._room]
            self._room -= len(kept)
            index = choice.get("index")
            self._texts.setdefault(index if isinstance(index, int) else 0, []).append(kept)
        if isinstance(finish := choice.get("finish_reason"), str):
            self.finish = finish


class Events:
    """Cuts a stream into whole events, reads each, and leaves out the token counts nobody asked for."""

    def __init__(self, answer: RecordedAnswer, *, keep_usage: bool) -> None:
        self._answer = answer
        self._keep_usage = keep_usage
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream can be passed on now; b"" until an event is whole."""
        data = self._rest + chunk
        end = _last_end(data, max(0, len(self._rest) - 3))
        self._rest = data[end:]
        if len(self._rest) > LONGEST_EVENT:
            raise OpenAIError(502, "The model server sent an event without end.", code="upstream_error")
        return self._read(data[:end])

    def close(self) -> bytes:
        """What is left when the stream ends."""
        rest, self._rest = self._rest, b""
        return self._read(rest)

    def _read(self, events: bytes) -> bytes:
        if not events:
            return b""
        kept = [event for event in _split(events) if self._passes(event)]
        return b"".join(kept)

    def _passes(self, event: bytes) -> bool:
        data = _data(event)
        if data is None or data == b"[DONE]":
            return True
        part = self._answer.take(data)
        return self._keep_usage or not _is_usage(part)


def _last_end(data: bytes, start: int) -> int:
    """Where the last whole event ends, 0 when none does; there is no end before `start`."""
    found = [(data.rfind(end, start), len(end)) for end in ENDS]
    return max(at + length if at >= 0 else 0 for at, length in found)


def _split(events: bytes) -> list[bytes]:
    """Whole events with their ends, so that joined they are the same bytes."""
    end = b"\r\n\r\n" if b"\r\n\r\n" in events else b"\n\n"
    parts = events.split(end)
    return [part + end for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


ENDS = (b"\n\n", b"\r\n\r\n")


def _data(event: bytes) -> bytes | None:
    """The data of an event. llama.cpp has also called the field `error`."""
    lines = event.splitlines()
    for name in (b"data:", b"error:"):
        found = [line[len(name) :].strip() for line in lines if line.startswith(name)]
        if found:
            data = b"\n".join(found)
            return data if name == b"data:" else b'{"error":' + data + b"}"
    return None


def _is_usage(part: Any) -> bool:
    return isinstance(part, dict) and part.get("choices") == [] and isinstance(part.get("usage"), dict)


def _prompt(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and all(isinstance(it, str) for it in prompt):
        return "\n".join(prompt)
    return "" if prompt is None else orjson.dumps(prompt).decode()


def _content(content: Any) -> str:
    """A message's text, of one piece or in parts."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in _dicts(content) if isinstance(part.get("text"), str))


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [it for it in values if isinstance(it, dict)] if isinstance(values, list) else []


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 1 << 31 else None
