"""Tool calls as OpenAI has them, made of formats that give them no id, or an older shape."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from domain.line_formats.lines import NotUnderstood


class CallIds:
    """Gives tool calls ids, `call_1` and so on, and finds the call that a result answers.

    `taken` are ids that the conversation has already.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._count = 0
        self._open = list[tuple[str, Any]]()

    def new(self) -> str:
        """The next id that no call has."""
        while True:
            self._count += 1
            if (id := f"call_{self._count}") not in self._taken:
                return id

    def record(self, message: Mapping[str, Any]) -> None:
        """Take note of a message in today's format: its calls may be answered, or it answers one."""
        if message.get("role") == "assistant":
            self._open = list(_calls_of(message))
        elif message.get("role") == "tool":
            self._open = [call for call in self._open if call[0] != message.get("tool_call_id")]

    def answered(self, index: int, name: str | None = None) -> str:
        """The id of the call that a result without an id answers: the first with its name, or else the first.

        Raises `NotUnderstood` where there is none.
        """
        found = next((call for call in self._open if name in {None, call[1]}), None)
        if found is None:
            raise NotUnderstood("A tool result answers no call that stands before it.", index)
        self._open.remove(found)
        return found[0]


def function_call(id: str, name: Any, arguments: Any) -> dict[str, Any]:
    """A tool call of the type function."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def function_tool(function: Any) -> dict[str, Any]:
    """A tool of the type function."""
    return {"type": "function", "function": function}


def ids_of_calls(messages: Iterable[Any]) -> set[str]:
    """The ids of all tool calls of messages, whatever shape these have."""
    return {id for message in messages if isinstance(message, dict) for id, _ in _calls_of(message)}


def _calls_of(message: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The ids of a message's tool calls, and the names of their functions."""
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict) and isinstance(call.get("id"), str):
            function = call.get("function")
            yield call["id"], function.get("name") if isinstance(function, dict) else None
