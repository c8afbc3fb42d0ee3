"""OpenAI's lines of fine-tuning files, deprecated keys included: what they are in today's, and as values of items."""

from collections.abc import Callable, Mapping
from typing import Any

from domain.conversations import PREFERENCE_FIELDS
from domain.line_formats.lines import (
    NO_CONVERSATION,
    CannotHold,
    Converted,
    Line,
    NotUnderstood,
    check_is_text,
    keys_beside,
    text_of,
)
from domain.line_formats.tools import CallIds, function_call, function_tool, ids_of_calls, tools_of

PREFERRED = {"preferred_completion": "preferred_output", "non_preferred_completion": "non_preferred_output"}
"""The earlier names of the two answers of a preference line."""
ANSWERS = ("preferred_output", "non_preferred_output")
COMPLETION_FIELDS = ("prompt", "completion")
FOREIGN = frozenset({"chosen", "rejected", *PREFERRED, *ANSWERS})
"""Keys of preference lines, which no conversation has."""


def read(line: Line) -> Converted:
    """The line in OpenAI's format of today; raises `NotUnderstood`."""
    check_is_text(line)
    if "messages" in line:
        return _conversation(line)
    if "input" in line and any(name in line for name in FOREIGN - {"chosen", "rejected"}):
        return _preference(line)
    if all(name in line for name in COMPLETION_FIELDS):
        return _completion(line)
    raise NotUnderstood(
        "The line has none of `messages`, `input` with `preferred_output` and `non_preferred_output`, or `prompt` "
        "with `completion`."
    )


def write(line: Line) -> dict[str, Any]:
    """The line in OpenAI's format, which holds all items but those that have no messages; raises `CannotHold`."""
    if not any(line.keys() >= set(keys) for keys in (["messages"], PREFERENCE_FIELDS, COMPLETION_FIELDS)):
        raise CannotHold(NO_CONVERSATION)
    return dict(line)


def _conversation(line: Line) -> Converted:
    if foreign := [name for name in line if name in FOREIGN]:
        raise NotUnderstood(f"The line has both `messages` and `{foreign[0]}`.")
    return Converted(conversation_members(line), keys_beside(line, MEMBERS))


def conversation_members(line: Line) -> dict[str, Any]:
    """The keys of a conversation of those of a line, in its order, with messages and tools in today's format."""
    if "tools" in line and "functions" in line:
        raise NotUnderstood("The line has both `tools` and `functions`.")
    return {
        CURRENT_KEYS.get(name, name): MEMBERS[name](value) for name, value in line.items() if name in MEMBERS
    }


def _tools_of_functions(functions: Any) -> list[Any] | None:
    if functions is None:
        return None
    if not isinstance(functions, list):
        raise NotUnderstood("`functions` is not a list.")
    return [function_tool(function) for function in functions]


def current_messages(messages: Any) -> list[Any]:
    """Messages with `tool_calls` and the role tool in place of `function_call` and the role function."""
    if not isinstance(messages, list):
        raise NotUnderstood("`messages` is not a list.")
    ids = CallIds(ids_of_calls(messages))
    return [_current_message(message, index, ids) for index, message in enumerate(messages)]


def _current_message(message: Any, index: int, ids: CallIds) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise NotUnderstood("is not an object.", index)
    if message.get("role") == "function":
        return _tool_message(message, index, ids)
    current: dict[str, Any] = _with_tool_calls(message, index, ids) if "function_call" in message else message
    ids.record(current)
    return current


def _tool_message(message: Mapping[str, Any], index: int, ids: CallIds) -> dict[str, Any]:
    name = message.get("name")
    if not isinstance(name, str):
        raise NotUnderstood("has the role function and no `name`.", index)
    renamed = {"role": "tool", "tool_call_id": ids.answered(index, name=name)}
    kept = {key: value for key, value in message.items() if key not in {"role", "name"}}
    return renamed | kept


def _with_tool_calls(message: Mapping[str, Any], index: int, ids: CallIds) -> dict[str, Any]:
    call = message["function_call"]
    kept = {key: value for key, value in message.items() if key != "function_call"}
    if call is None:
        return kept
    if message.get("tool_calls"):
        raise NotUnderstood("has both `tool_calls` and `function_call`.", index)
    if not isinstance(call, dict) or set(call) != {"name", "arguments"} or not isinstance(call["name"], str):
        raise NotUnderstood("has a `function_call` that is not an object with `name` and `arguments`.", index)
    return kept | {"tool_calls": [function_call(ids.new(), call["name"], call["arguments"])]}


def _preference(line: Line) -> Converted:
    members = dict[str, Any]()
    for name, value in line.items():
        current = PREFERRED.get(name, name)
        if current not in PREFERENCE_FIELDS:
            continue
        if current in members:
            raise NotUnderstood(f"The line has both `{current}` and its earlier name.")
        members[current] = value
    for name in ANSWERS:
        if name not in members:
            raise NotUnderstood(f"The line has no `{name}`.")
        members[name] = _answer(name, members[name])
    members["input"], ignored = _input(members["input"])
    left_out = keys_beside(line, (*PREFERENCE_FIELDS, *PREFERRED))
    return Converted({name: members[name] for name in PREFERENCE_FIELDS}, (*left_out, *ignored))


def _input(value: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    if not isinstance(value, dict) or "messages" not in value:
        raise NotUnderstood("`input` is not an object with `messages`.")
    ignored = keys_beside(value, MEMBERS)
    return conversation_members(value), tuple(f"input.{name}" for name in ignored)


def _answer(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) != 1:
        raise NotUnderstood(f"`{name}` is not a list of one message.")
    return current_messages(value)


def _completion(line: Line) -> Converted:
    return Converted(
        {name: text_of(line, name) for name in COMPLETION_FIELDS}, keys_beside(line, COMPLETION_FIELDS)
    )


CURRENT_KEYS = {"functions": "tools"}
MEMBERS: Mapping[str, Callable[[Any], Any]] = {
    "messages": current_messages,
    "tools": tools_of,
    "functions": _tools_of_functions,
    "parallel_tool_calls": lambda value: value,
}
"""The keys of a conversation, and how the value of each becomes that of today's format."""
