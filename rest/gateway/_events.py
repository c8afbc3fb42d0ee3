"""Server-sent events of a model server: split from the bytes as they arrive, each with its data rewritten."""

from collections.abc import Callable

from rest.gateway._errors import OpenAIError

MAX_EVENT = 8 << 20
"""Bytes of one event of a model server."""
ENDS = (b"\n\n", b"\r\n\r\n")
"""How an event may end."""
DONE = b"[DONE]"
"""The data of the last event of a complete stream."""

Rewrite = Callable[[bytes], bytes | None]
"""The data that the client gets in place of an event's; None where it does not get the event."""


class EventReader:
    """Splits a stream into events, rewrites their data, and withholds the last one, `[DONE]`, until the end.

    Without `keeps_done` it is left out.
    """

    def __init__(self, rewrite: Rewrite, *, keeps_done: bool = True) -> None:
        self._rewrite = rewrite
        self._keeps_done = keeps_done
        self._buffer = b""
        self._done = b""

    def feed(self, chunk: bytes) -> bytes:
        """The complete events so far, to be forwarded; raises `OpenAIError` 502 for one longer than `MAX_EVENT`."""
        data = self._buffer + chunk
        end = _last_end(data, max(0, len(self._buffer) - 3))
        self._buffer = data[end:]
        if len(self._buffer) > MAX_EVENT:
            raise OpenAIError(502, "The model server sent an event without end.", code="upstream_error")
        return self._read(data[:end])

    def close(self) -> bytes:
        """The data after the last event, when the stream has ended, and `[DONE]` where it was sent."""
        events, self._buffer = self._buffer, b""
        rest = self._read(events)
        return self._done + rest

    def _read(self, events: bytes) -> bytes:
        if not events:
            return b""
        return b"".join(self._forwarded(event) for event in _split(events))

    def _forwarded(self, event: bytes) -> bytes:
        data = _data(event)
        if data is None:
            return event
        if data == DONE:
            self._done = event if self._keeps_done else b""
            return b""
        rewritten = self._rewrite(data)
        if rewritten is None:
            return b""
        return event if rewritten is data else _with_data(event, data, rewritten)


def data_event(data: bytes) -> bytes:
    """An event that has this data."""
    return b"data: " + data + b"\n\n"


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


def _with_data(event: bytes, data: bytes, rewritten: bytes) -> bytes:
    """The event with other data; one whose data was in several lines is made anew."""
    return event.replace(data, rewritten, 1) if data in event else data_event(rewritten)
