"""Conversations and preference pairs of the GraphQL API: what the values of items say."""

from collections.abc import Sequence
from typing import Any

import strawberry

from domain import conversations as domain
from domain.conversations import Message, MessageRole
from domain.datasets import Dataset
from schema.shared.enums import register_enum
from schema.shared.scalars import JSON

register_enum(
    MessageRole,
    "Who a message is from.",
    SYSTEM="Instructions for the whole conversation.",
    DEVELOPER="Instructions too: the name that OpenAI's newer models have for them.",
    USER="A person, who asks.",
    ASSISTANT="The model, which answers.",
    TOOL="The result of a tool call.",
)


@strawberry.type(description="A call of a tool by the model.")
class ToolCall:
    id: str = strawberry.field(description="Id that the tool's result refers to.")
    name: str = strawberry.field(description="Name of the tool.")
    arguments: str = strawberry.field(description="Arguments, as the JSON text of an object.")


@strawberry.type(description="A message of a conversation.")
class ChatMessage:
    role: MessageRole = strawberry.field(description="Who the message is from.")
    content: str | None = strawberry.field(
        description="Text of the message; null when it has none, and when its content is a list of parts."
    )
    content_parts: JSON | None = strawberry.field(
        description="Content as a list of parts, as the file has it; null when the content is one text, or none."
    )
    name: str | None = strawberry.field(
        description="Name of the participant, or of the tool; null when there is none."
    )
    tool_calls: list[ToolCall] = strawberry.field(description="Tools that the message calls.")
    tool_call_id: str | None = strawberry.field(
        description="Id of the call whose result the message is; null when it is none."
    )
    reasoning_content: str | None = strawberry.field(
        description="Reasoning of the model before its answer; null when there is none."
    )
    weight: int | None = strawberry.field(
        description="0 leaves an assistant message out of what is learned; null is 1."
    )


@strawberry.type(description="A conversation in OpenAI's chat format.")
class Conversation:
    messages: list[ChatMessage] = strawberry.field(description="Messages in their order.")
    tools: JSON | None = strawberry.field(
        description="Definitions of the tools that the model may call, with keys in the order of the file; null when "
        "there are none."
    )
    parallel_tool_calls: bool | None = strawberry.field(
        description="Whether the model may call several tools in one message; null when nothing is said."
    )


@strawberry.type(description="A conversation that asks, with a better and a worse answer.")
class Preference:
    input: Conversation = strawberry.field(description="The conversation that is answered.")
    preferred: ChatMessage = strawberry.field(description="The better answer.")
    non_preferred: ChatMessage = strawberry.field(description="The worse answer.")


def conversation_of(dataset: Dataset, values: Sequence[str]) -> Conversation | None:
    """The conversation of an item's values; None for a preference pair, and where they are not JSON of one."""
    try:
        found = dataset.conversation_of(values)
    except ValueError:
        return None
    return None if found is None else _conversation(found)


def preference_of(dataset: Dataset, values: Sequence[str]) -> Preference | None:
    """The preference pair of an item's values; None where they are none."""
    try:
        found = dataset.preference_of(values)
    except ValueError:
        return None
    if found is None:
        return None
    return Preference(
        input=_conversation(found.input),
        preferred=_message(found.preferred),
        non_preferred=_message(found.non_preferred),
    )


def _conversation(record: domain.Conversation) -> Conversation:
    return Conversation(
        messages=list(map(_message, record.messages)),
        tools=record.tools,
        parallel_tool_calls=record.parallel_tool_calls,
    )


def _message(message: Message) -> ChatMessage:
    content = message.get("content")
    return ChatMessage(
        role=MessageRole(message["role"].upper()),
        content=content if isinstance(content, str) else None,
        content_parts=content if isinstance(content, list) else None,
        name=message.get("name"),
        tool_calls=list(map(_tool_call, message.get("tool_calls") or ())),
        tool_call_id=message.get("tool_call_id"),
        reasoning_content=message.get("reasoning_content"),
        weight=message.get("weight"),
    )


def _tool_call(call: dict[str, Any]) -> ToolCall:
    function = call["function"]
    return ToolCall(id=call["id"], name=function["name"], arguments=function["arguments"])
