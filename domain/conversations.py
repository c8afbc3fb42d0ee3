"""Conversations and preference pairs in OpenAI's chat format, and the values that items store them as."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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
    """The conversation of an item's values; raises `ValueError` where one of them is not JSON."""
    found = {name: json.loads(values[name]) for name in CONVERSATION_FIELDS if values[name]}
    return Conversation(**found)


def preference_of(values: Mapping[str, str]) -> Preference:
    """The preference pair of an item's values; raises `ValueError` where one of them is not JSON."""
    asked, preferred, non_preferred = (json.loads(values[name]) for name in PREFERENCE_FIELDS)
    return Preference(input=Conversation(**asked), preferred=preferred[0], non_preferred=non_preferred[0])


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
