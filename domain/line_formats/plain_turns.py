"""Messages for formats whose turns are a role and a text: what else a message has, such a format cannot hold."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from domain.conversations import ItemFormat, Message
from domain.line_formats.item_values import item_format_of
from domain.line_formats.lines import NO_CONVERSATION, CannotHold, Line


def asked_and_answers(line: Line) -> tuple[dict[str, Any], dict[str, Message]]:
    """The conversation of a line in OpenAI's format, and of a pair the answers, as `chosen` and `rejected`.

    Raises `CannotHold` for what is not made of messages, as an invalid item may be.
    """
    if item_format_of(line) is not ItemFormat.PREFERENCE:
        return {**line, "messages": _messages(line)}, {}
    asked = line["input"] if isinstance(line["input"], dict) else {}
    found = {"chosen": line.get("preferred_output"), "rejected": line.get("non_preferred_output")}
    answers = {name: _messages({"messages": output})[0] for name, output in found.items()}
    return {**asked, "messages": _messages(asked)}, answers


def _messages(conversation: Line) -> list[Message]:
    messages = conversation.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(part, dict) for part in messages):
        raise CannotHold(NO_CONVERSATION)
    return messages


def check_keys(message: Message, index: int, known: Collection[str]) -> None:
    """Raise `CannotHold` where a message has keys beside those known and `role`; null and the weight 1 are as if absent."""
    for name, value in message.items():
        if name in {"role", *known} or value is None or (name == "weight" and value == 1):
            continue
        what = "the weight 0" if name == "weight" else f"`{name}`"
        raise CannotHold(f"message {index + 1} has {what}")


def content_of(message: Message, index: int) -> str:
    """The text of a message; raises `CannotHold` where its content is not one text."""
    content = message.get("content")
    if not isinstance(content, str):
        what = "its content in parts" if isinstance(content, list) else "no content"
        raise CannotHold(f"message {index + 1} has {what}")
    return content


def check_no_parallel(conversation: Line) -> None:
    """Raise `CannotHold` where a conversation says whether tools may be called in parallel."""
    if conversation.get("parallel_tool_calls") is not None:
        raise CannotHold("it has `parallel_tool_calls`")


def alternating(messages: Sequence[Message], first: int = 0) -> Iterator[tuple[int, Message]]:
    """The messages from one on with their indices; raises `CannotHold` unless they are a user's and an assistant's in turn."""
    for index, message in enumerate(messages[first:], first):
        role = "assistant" if (index - first) % 2 else "user"
        if message.get("role") != role:
            raise CannotHold(f"message {index + 1} is not the {role}'s")
        yield index, message
