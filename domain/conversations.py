"""Conversations and preference pairs in OpenAI's chat format, and the values that items store them as."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from domain.json_values import parsed_json

Message = dict[str, Any]
"""A message as JSON: `role`, `content` and the other keys of OpenAI's chat format, in the order of the file."""

CONVERSATION_FIELDS = ("messages", "tools", "parallel_tool_calls")
PREFERENCE_FIELDS = ("input", "preferred_output", "non_preferred_output")
"""The fields of items, each of which is JSON text; the empty text stands for an absent key."""


class ItemFormat(StrEnum):
    """What the items of a dataset are."""

    PROMPT_COMPLETION = "PROMPT_COMPLETION"
    CONVERSATION = "CONVERSATION"
    PREFERENCE = "PREFERENCE"


class MessageRole(StrEnum):
    """Who a message is from."""

    SYSTEM = "SYSTEM"
    DEVELOPER = "DEVELOPER"
    USER = "USER"
    ASSISTANT = "ASSISTANT"
    TOOL = "TOOL"


ROLES = tuple(role.value.lower() for role in MessageRole)
"""The roles as messages have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Messages, and what a model is told of its tools; None where a key is absent."""

    messages: Sequence[Message]
    tools: list[Any] | None = None
    parallel_tool_calls: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """A conversation that asks, and two assistant messages that answer it: a better one and a worse one."""

    input: Conversation
    preferred: Message
    non_preferred: Message


def conversation_of(values: Mapping[str, str]) -> Conversation:
    """The conversation of an item's values; raises `ValueError` where they are not JSON of one."""
    found = {name: parsed_json(values[name]) for name in CONVERSATION_FIELDS if values[name]}
    return _conversation_of_json(found)


def preference_of(values: Mapping[str, str]) -> Preference:
    """The preference pair of an item's values; raises `ValueError` where they are not JSON of one."""
    asked, *outputs = (parsed_json(values[name]) for name in PREFERENCE_FIELDS)
    preferred, non_preferred = (_only_message(output) for output in outputs)
    return Preference(input=_conversation_of_json(asked), preferred=preferred, non_preferred=non_preferred)


def _conversation_of_json(value: Any) -> Conversation:
    if not isinstance(value, dict) or not value.keys() <= set(CONVERSATION_FIELDS):
        raise ValueError("is not a conversation")
    found = {"messages": None, **value}
    if not all(IS_OF_TYPE[name](found[name]) for name in found):
        raise ValueError("has values of other types than a conversation")
    return Conversation(**found)


def _only_message(output: Any) -> Message:
    if not isinstance(output, list) or len(output) != 1 or not _is_message(output[0]):
        raise ValueError("is not a list of one message")
    message: Message = output[0]
    return message


def _is_message(value: Any) -> bool:
    """Whether a value has the types of a message; not whether the message can be learned (`domain.message_checks`)."""
    if not isinstance(value, dict) or value.get("role") not in ROLES:
        return False
    texts = [value.get(name) for name in ("name", "tool_call_id", "reasoning_content")]
    calls, weight = value.get("tool_calls"), value.get("weight")
    return (
        isinstance(value.get("content"), str | list | None)
        and all(isinstance(text, str | None) for text in texts)
        and (weight is None or (weight in (0, 1) and not isinstance(weight, bool | float)))
        and (calls is None or (isinstance(calls, list) and all(map(_is_call, calls))))
    )


def _is_call(value: Any) -> bool:
    function = value.get("function") if isinstance(value, dict) else None
    return (
        isinstance(function, dict)
        and isinstance(value.get("id"), str)
        and all(isinstance(function.get(name), str) for name in ("name", "arguments"))
    )


IS_OF_TYPE: Mapping[str, Callable[[Any], bool]] = {
    "messages": lambda value: isinstance(value, list) and all(map(_is_message, value)),
    "tools": lambda value: isinstance(value, list | None),
    "parallel_tool_calls": lambda value: isinstance(value, bool | None),
}


def conversation_as_json(conversation: Conversation) -> dict[str, Any]:
    """A conversation as one JSON object, without the keys that are absent."""
    found = {name: getattr(conversation, name) for name in CONVERSATION_FIELDS}
    return {name: value for name, value in found.items() if value is not None}


def preference_as_json(preference: Preference) -> dict[str, Any]:
    """A preference pair as one JSON object: `input`, `preferred` and `non_preferred`."""
    return {
        "input": conversation_as_json(preference.input),
        "preferred": preference.preferred,
        "non_preferred": preference.non_preferred,
    }
