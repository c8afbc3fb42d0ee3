"""The texts of messages: those that are counted, searched for and compared. Any JSON has texts, or none."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from domain.json_values import SORTED_JSON, parsed_json, strings_in
from domain.texts import canonical

END_OF_TEXT, END_OF_MESSAGE = "\n\x00\n", "\n\x01\n"
"""What separates texts that are compared. A text has no NUL; white space around it does not tell near duplicates apart."""


def messages_in(value: Any) -> list[dict[str, Any]]:
    """The elements of a list that are objects; none where it is no list."""
    return [element for element in value if isinstance(element, dict)] if isinstance(value, list) else []


def content_texts(message: dict[str, Any]) -> list[str]:
    """The content of a message: a text, or the texts of its parts."""
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in messages_in(content) if isinstance(part.get("text"), str)]


def calls_of(message: dict[str, Any]) -> list[tuple[str, str]]:
    """The name and the arguments of each tool call, as they are written; the empty text where one is none."""
    functions = [call.get("function") for call in messages_in(message.get("tool_calls"))]
    return [
        (_text(function.get("name")), _text(function.get("arguments")))
        for function in functions
        if isinstance(function, dict)
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def texts_of(message: dict[str, Any]) -> Iterator[str]:
    """What a message says: its content, its reasoning, and the name and the arguments of each tool call."""
    yield from _own_texts(message)
    for call in calls_of(message):
        yield from call


def _own_texts(message: dict[str, Any]) -> Iterator[str]:
    yield from content_texts(message)
    if isinstance(reasoning := message.get("reasoning_content"), str):
        yield reasoning


def size_of(message: dict[str, Any]) -> int:
    """The number of characters of a message's texts."""
    return sum(map(len, texts_of(message)))


def is_blank(message: dict[str, Any]) -> bool:
    """Whether a message says nothing."""
    return not any(text.strip() for text in texts_of(message))


def is_learned(message: dict[str, Any]) -> bool:
    """Whether a message is an assistant's whose weight is not 0."""
    return message.get("role") == "assistant" and message.get("weight") != 0


def searched_text(messages: Sequence[dict[str, Any]]) -> str:
    """The texts of messages, one on each line; of a tool call's arguments the values, without names and escapes."""
    return "\n".join(text for message in messages for text in _searched_texts(message))


def _searched_texts(message: dict[str, Any]) -> Iterator[str]:
    yield from _own_texts(message)
    for name, arguments in calls_of(message):
        yield name
        yield from values_of_arguments(arguments)


def values_of_arguments(arguments: str) -> list[str]:
    """The values in the JSON text of a call's arguments; the text itself where it is no JSON."""
    try:
        value = parsed_json(arguments)
    except ValueError:
        return [arguments]
    return list(strings_in(_numbers_as_texts(value), names=False))


def _numbers_as_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numbers_as_texts(member) for name, member in value.items()}
    if isinstance(value, list):
        return list(map(_numbers_as_texts, value))
    return value if isinstance(value, str) else json.dumps(value)


def compared_text(messages: Sequence[dict[str, Any]]) -> str:
    """One text that is the same for messages of the same roles with the same texts, white space at their ends aside.

    An assistant message that is not learned differs from one that is.
    """
    return END_OF_MESSAGE.join(
        END_OF_TEXT.join((_compared_role(message), *map(canonical, texts_of(message))))
        for message in messages
    )


def _compared_role(message: dict[str, Any]) -> str:
    return f"{message.get('role')}{' 0' if message.get('weight') == 0 else ''}"


def compared_tools(conversation: dict[str, Any]) -> str:
    """What a conversation says of its tools, whatever the order of keys; empty where it has none."""
    found = {name: conversation[name] for name in ("tools", "parallel_tool_calls") if name in conversation}
    return SORTED_JSON.encode(found) if found else ""


def asked_first(messages: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """All messages up to the first assistant message."""
    roles = [message.get("role") for message in messages]
    return messages[: roles.index("assistant")] if "assistant" in roles else messages


def without_last_answer(
    messages: Sequence[dict[str, Any]],
) -> tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]]:
    """The messages up to the last assistant message, and those from it on."""
    last = max(
        (at for at, message in enumerate(messages) if message.get("role") == "assistant"), default=None
    )
    return (messages, []) if last is None else (messages[:last], messages[last:])
