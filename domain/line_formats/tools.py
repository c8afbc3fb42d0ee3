"""Tools and their calls as OpenAI has them, made of formats that give calls no id, or have another shape."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from domain import exact_json
from domain.line_formats.lines import NotUnderstood


class OpenCall(NamedTuple):
    """A tool call without a result so far."""

    id: str | None
    name: str | None


class CallIds:
    """Gives tool calls ids, `call_1` and so on, and finds the call that a result answers.

    `taken` are ids that the conversation has already.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = frozenset(taken)
        self._count = 0
        self._open = list[OpenCall]()

    def copy(self) -> "CallIds":
        """The same state, for one of several ways in which a conversation goes on."""
        found = CallIds(self._taken)
        found._count, found._open = self._count, list(self._open)
        return found

    def new(self) -> str:
        """The next id that no call has."""
        self._count += 1
        id = f"call_{self._count}"
        return self.new() if id in self._taken else id

    def is_new(self, id: str | None) -> bool:
        """Whether `new` gives this id, or would give one to a call that has none; the id then counts as given."""
        if id is not None and self.copy().new() != id:
            return False
        self.new()
        return True

    def record(self, message: Mapping[str, Any]) -> None:
        """Take note of a message in today's format: its calls may be answered, or it answers one."""
        if message.get("role") == "assistant":
            self._open = list(_calls_of(message))
        elif message.get("role") == "tool":
            answered = next((call for call in self._open if call.id == message.get("tool_call_id")), None)
            self._open = [call for call in self._open if call is not answered]

    def is_next(self, id: str | None) -> bool:
        """Whether a result with this id answers the first of the calls that have none."""
        return bool(self._open) and self._open[0].id == id

    def answered(self, index: int, name: str | None = None) -> str:
        """The id of the call that a result without an id answers: the first with its name, or else the first.

        Raises `NotUnderstood` where there is none.
        """
        found = next((call for call in self._open if name in {None, call.name}), None)
        if found is None or found.id is None:
            raise NotUnderstood("is the result of a tool, but answers no call before it.", index)
        return found.id


def function_call(id: str, name: Any, arguments: Any) -> dict[str, Any]:
    """A tool call of the type function."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def tools_of(tools: Any) -> Any:
    """A list of tools, which may be given as JSON text; raises `NotUnderstood`."""
    if isinstance(tools, str):
        try:
            tools = exact_json.loads(tools)
        except ValueError:
            raise NotUnderstood("`tools` is a text that is not JSON.") from None
    if tools is not None and not isinstance(tools, list):
        raise NotUnderstood("`tools` is not a list.")
    return tools


def function_tool(function: Any) -> dict[str, Any]:
    """A tool of the type function."""
    return {"type": "function", "function": function}


def wrapped_tools(tools: Any) -> Any:
    """A list of tools, each of which may be the bare function, as tools of the type function."""
    if not isinstance(tools, list):
        return tools
    return [tool if isinstance(tool, dict) and "function" in tool else function_tool(tool) for tool in tools]


def ids_of_calls(messages: Iterable[Any]) -> set[str]:
    """The ids of all tool calls of messages, whatever shape these have."""
    calls = (call for message in messages if isinstance(message, dict) for call in _calls_of(message))
    return {call.id for call in calls if call.id is not None}


def _calls_of(message: Mapping[str, Any]) -> Iterator[OpenCall]:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            id, function = call.get("id"), call.get("function")
            name = function.get("name") if isinstance(function, dict) else None
            yield OpenCall(id if isinstance(id, str) else None, name if isinstance(name, str) else None)
