"""Tools and their calls as OpenAI has them, made of formats that give calls no id, or have another shape."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple

from domain import exact_json
from domain.line_formats.lines import NotUnderstood


class OpenCall(NamedTuple):
    """A tool call without a result so far."""

    id: str | None
    name: str | None


class _OpenCalls:
    """The tool calls of a message that have no result so far, found and removed in constant time: a line may have many."""

    def __init__(self, calls: Iterable[OpenCall] = ()) -> None:
        self._calls = dict(enumerate(calls))
        self._by_id, self._by_name = (defaultdict[str | None, deque[int]](deque) for _ in range(2))
        self._all = deque(self._calls)
        for number, call in self._calls.items():
            self._by_id[call.id].append(number)
            self._by_name[call.name].append(number)

    def copy(self) -> "_OpenCalls":
        return _OpenCalls(self._calls.values())

    def first(self, name: str | None = None) -> OpenCall | None:
        """The first call with a name, or of all; None where there is none."""
        number = self._next(self._all if name is None else self._by_name[name])
        return None if number is None else self._calls[number]

    def remove(self, id: object) -> None:
        """Remove the first call with an id, where there is one."""
        number = self._next(self._by_id[id]) if isinstance(id, str | None) else None
        if number is not None:
            del self._calls[number]

    def _next(self, numbers: deque[int]) -> int | None:
        while numbers and numbers[0] not in self._calls:
            numbers.popleft()
        return numbers[0] if numbers else None


class CallIds:
    """Gives tool calls ids, `call_1` and so on, and finds the call that a result answers.

    `taken` are ids that the conversation has already.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = frozenset(taken)
        self._count = 0
        self._open = _OpenCalls()

    def copy(self) -> "CallIds":
        """A copy of the calls so far, for one of several answers with which a conversation goes on."""
        found = CallIds(self._taken)
        found._count, found._open = self._count, self._open.copy()
        return found

    def new(self) -> str:
        """The next id that no call has."""
        self._count = self._next_count()
        return _call_id(self._count)

    def is_new(self, id: str | None) -> bool:
        """Whether `new` gives this id, or would give one to a call that has none; the id then counts as given."""
        if id is not None and _call_id(self._next_count()) != id:
            return False
        self.new()
        return True

    def _next_count(self) -> int:
        return next(number for number in count(self._count + 1) if _call_id(number) not in self._taken)

    def record(self, message: Mapping[str, Any]) -> None:
        """Take note of a message in today's format: its calls may be answered, or it answers one."""
        if message.get("role") == "assistant":
            self._open = _OpenCalls(_calls_of(message))
        elif message.get("role") == "tool":
            self._open.remove(message.get("tool_call_id"))

    def is_next(self, id: str | None) -> bool:
        """Whether a result with this id answers the first of the calls that have none."""
        first = self._open.first()
        return first is not None and first.id == id

    def answered(self, index: int, name: str | None = None) -> str:
        """The id of the call that a result without an id answers: the first with its name, or else the first.

        Raises `NotUnderstood` where there is none.
        """
        found = self._open.first(name)
        if found is None or found.id is None:
            raise NotUnderstood("is the result of a tool, but answers no call before it.", index)
        return found.id


def _call_id(number: int) -> str:
    return f"call_{number}"


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
