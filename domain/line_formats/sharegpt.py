"""ShareGPT's format: turns of `from` and `value`, with tools and pairs of answers as LLaMA-Factory has them."""

from collections.abc import Mapping
from typing import Any

from domain import exact_json
from domain.conversations import Message
from domain.line_formats.function_calls import calls_of, text_of_calls
from domain.line_formats.item_values import messages_of_pair
from domain.line_formats.lines import (
    CannotHold,
    Converted,
    Line,
    NotUnderstood,
    check_is_text,
    keys_beside,
    optional_text_of,
    shown,
)
from domain.line_formats.plain_turns import (
    asked_and_answers,
    check_keys,
    check_no_parallel,
    content_of,
)
from domain.line_formats.tools import CallIds, ids_of_calls, tools_of, wrapped_tools

ROLES: Mapping[str, str] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bard": "assistant",
    "bing": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}
"""The role of a message by what its turn is `from`."""
NAMES: Mapping[str, str] = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
ANSWERS = ("chosen", "rejected")
KEYS = ("conversations", "system", "tools", *ANSWERS)


def read(line: Line) -> Converted:
    """The line in OpenAI's format; raises `NotUnderstood`."""
    check_is_text(line)
    turns = line.get("conversations")
    if not isinstance(turns, list):
        raise NotUnderstood("The line has no list `conversations`.")
    ids = CallIds(ids_of_calls(turns))
    messages = [_message(turn, index, ids) for index, turn in enumerate(turns)]
    conversation = {"messages": _with_system(line, messages)}
    if line.get("tools") not in (None, ""):
        conversation["tools"] = wrapped_tools(tools_of(line["tools"]))
    ignored = keys_beside(line, KEYS)
    if not any(name in line for name in ANSWERS):
        return Converted(conversation, ignored)
    preferred, rejected = (_answer(line, name, len(turns), ids) for name in ANSWERS)
    pair = {"input": conversation, "preferred_output": preferred, "non_preferred_output": rejected}
    return Converted(pair, ignored)


def write(line: Line) -> dict[str, Any]:
    """The line of one in OpenAI's format; raises `CannotHold`."""
    if "prompt" in line:
        line = {"messages": messages_of_pair(line["prompt"], line["completion"])}
    asked, answers = asked_and_answers(line)
    check_no_parallel(asked)
    ids = CallIds()
    turns = [_turn(message, index, ids) for index, message in enumerate(asked["messages"])]
    found: dict[str, Any] = {"conversations": turns}
    found |= {name: _turn(answer, len(turns), ids.copy()) for name, answer in answers.items()}
    if asked.get("tools") is not None:
        found["tools"] = exact_json.dumps(asked["tools"])
    return found


def _message(turn: Any, index: int, ids: CallIds) -> Message:
    if not isinstance(turn, dict):
        raise NotUnderstood("is not an object.", index)
    message = _message_of_turn(turn, index, ids) if "from" in turn else _message_with_role(turn, index)
    if message["role"] == "tool" and "tool_call_id" not in message:
        message = {"role": "tool", "tool_call_id": ids.answered(index), **message}
    ids.record(message)
    return message


def _message_with_role(turn: dict[str, Any], index: int) -> Message:
    role = turn.get("role")
    if role == "function_call":
        raise NotUnderstood(
            "has the role function_call, which turns with `from` and `value` have alone.", index
        )
    return {**turn, "role": role if role == "developer" else _role(role, index)}


def _message_of_turn(turn: dict[str, Any], index: int, ids: CallIds) -> Message:
    if unknown := [name for name in turn if name not in {"from", "value", "weight"}]:
        raise NotUnderstood(f"has the unknown key {shown(unknown[0])}.", index)
    role, value = _role(turn["from"], index), turn.get("value")
    weight = _weight(turn, role, index)
    if turn["from"] == "function_call":
        return {"role": role, "content": None, "tool_calls": calls_of(value, index, ids)} | weight
    if not isinstance(value, str):
        raise NotUnderstood("has no text as its `value`.", index)
    return {"role": role, "content": value} | weight


def _role(name: Any, index: int) -> str:
    role = ROLES.get(name.lower()) if isinstance(name, str) else None
    if role is None:
        raise NotUnderstood(f"is from {shown(name)}; known are {', '.join(ROLES)}.", index)
    return role


def _weight(turn: dict[str, Any], role: str, index: int) -> dict[str, int]:
    """The weight of an assistant's turn, where it is 0: some sets have weights with all turns."""
    weight = turn.get("weight")
    if weight not in (None, 0, 1):
        raise NotUnderstood("has a `weight` that is neither 0 nor 1.", index)
    return {"weight": 0} if weight == 0 and weight is not None and role == "assistant" else {}


def _with_system(line: Line, messages: list[Message]) -> list[Message]:
    system = optional_text_of(line, "system")
    if not system:
        return messages
    first = {"role": "system", "content": system}
    if messages and messages[0] == first:
        return messages
    if messages and messages[0]["role"] == "system":
        raise NotUnderstood("is a system message other than `system`.", 0)
    return [first, *messages]


def _answer(line: Line, name: str, index: int, ids: CallIds) -> list[Message]:
    turn = line.get(name)
    if isinstance(turn, list) and len(turn) == 1:
        turn = turn[0]
    if not isinstance(turn, dict):
        raise NotUnderstood(f"`{name}` is not one turn.")
    message = _message(turn, index, ids.copy())
    if message["role"] != "assistant":
        raise NotUnderstood(f"`{name}` is not a turn of the assistant.")
    return [message]


def _turn(message: Message, index: int, ids: CallIds) -> dict[str, Any]:
    role = message.get("role")
    name = NAMES.get(role) if isinstance(role, str) else None
    if name is None or (name == "system" and index):
        raise CannotHold(f"message {index + 1} has the role {shown(role)}")
    if message.get("tool_calls"):
        return _turn_of_calls(message, index, ids)
    check_keys(message, index, {"content", "tool_calls"} | ({"tool_call_id"} if role == "tool" else set()))
    if role == "tool" and not ids.is_next(message.get("tool_call_id")):
        raise CannotHold(f"message {index + 1} does not answer the next of the tool calls")
    ids.record(message)
    return {"from": name, "value": content_of(message, index)}


def _turn_of_calls(message: Message, index: int, ids: CallIds) -> dict[str, Any]:
    check_keys(message, index, {"content", "tool_calls"})
    if message.get("content"):
        raise CannotHold(f"message {index + 1} has both a content and tool calls")
    value = text_of_calls(message["tool_calls"], index, ids)
    ids.record(message)
    return {"from": "function_call", "value": value}
