"""Conversations as text for people: what a sample shows."""

import json
from typing import Any

from domain.conversations import Conversation, Message
from infra.training.base_model import LocalBaseModel
from infra.training.labels import labelled_ending


def asked_text(conversation: Conversation) -> str:
    """The text of the one message that asks, or a line of `role: text` for each of several messages."""
    if len(conversation.messages) == 1 and conversation.messages[0]["role"] == "user":
        return message_text(conversation.messages[0])
    return "\n".join(f"{message['role']}: {message_text(message)}" for message in conversation.messages)


def expected_output(base_model: LocalBaseModel, asked: Conversation, answer: Message) -> str:
    """The answer as a model has to write it: its text, or with tool calls what the chat template renders of them."""
    if not answer.get("tool_calls"):
        return message_text(answer)
    ending = labelled_ending(base_model, asked, answer)
    return str(base_model.tokenizer.decode(ending.ending_ids, skip_special_tokens=True)).strip()


def message_text(message: Message) -> str:
    """The reasoning, the text and the tool calls of a message, each on lines of its own."""
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "\n".join(part["text"] for part in content)
    calls = [_call_text(call["function"]) for call in message.get("tool_calls") or []]
    return "\n".join(filter(None, [message.get("reasoning_content"), content, *calls]))


def _call_text(function: dict[str, Any]) -> str:
    arguments = function["arguments"]
    return f"{function['name']}({arguments if isinstance(arguments, str) else json.dumps(arguments)})"
