"""Lines in OpenAI's format as the values of items, and back."""

from collections.abc import Sequence
from typing import Any

from domain import exact_json
from domain.conversations import CONVERSATION_FIELDS, PREFERENCE_FIELDS, ItemFormat
from domain.datasets import Dataset
from domain.line_formats.lines import Line, NotUnderstood

NAMES = {
    ItemFormat.CONVERSATION: "a conversation",
    ItemFormat.PREFERENCE: "a preference pair",
    ItemFormat.PROMPT_COMPLETION: "a prompt with its completion",
}
"""What a line is, for messages."""


def values_of(line: Line, dataset: Dataset) -> dict[str, str]:
    """The values of a dataset's fields: of a conversation or a pair, JSON texts; "" where a key is absent.

    A prompt with its completion is a conversation of two messages, where the dataset has conversations, and such a
    conversation is a prompt with its completion. Raises `NotUnderstood` for what the dataset cannot have.
    """
    kind = item_format_of(line)
    if dataset.item_format is ItemFormat.PROMPT_COMPLETION:
        prompt, completion = _pair_of(line, kind)
        return dict.fromkeys(dataset.field_names, "") | {
            dataset.input_field: prompt,
            dataset.output_field: completion,
        }
    if dataset.item_format is ItemFormat.CONVERSATION and kind is ItemFormat.PROMPT_COMPLETION:
        line, kind = {"messages": messages_of_pair(line["prompt"], line["completion"])}, dataset.item_format
    if kind is not dataset.item_format:
        raise _other_format(kind, dataset.item_format)
    return {name: _json_text(line[name]) if name in line else "" for name in dataset.field_names}


def line_of(values: Sequence[str], dataset: Dataset) -> dict[str, Any]:
    """The line of an item's values; raises `ValueError` where one of them is not JSON and should be."""
    named = dict(zip(dataset.field_names, values, strict=True))
    if dataset.item_format is ItemFormat.PROMPT_COMPLETION:
        return {"prompt": named[dataset.input_field], "completion": named[dataset.output_field]}
    fields = CONVERSATION_FIELDS if dataset.item_format is ItemFormat.CONVERSATION else PREFERENCE_FIELDS
    return {name: exact_json.loads(named[name]) for name in fields if named[name]}


def item_format_of(line: Line) -> ItemFormat:
    """What a line in OpenAI's format is."""
    if "messages" in line:
        return ItemFormat.CONVERSATION
    return ItemFormat.PREFERENCE if "input" in line else ItemFormat.PROMPT_COMPLETION


def messages_of_pair(prompt: str, completion: str) -> list[dict[str, Any]]:
    """A prompt with its completion as the messages of a user and an assistant."""
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]


def _pair_of(line: Line, kind: ItemFormat) -> tuple[str, str]:
    if kind is ItemFormat.PROMPT_COMPLETION:
        return line["prompt"], line["completion"]
    messages = line.get("messages")
    if len(line) == 1 and isinstance(messages, list) and len(messages) == 2:
        prompt, completion = (message.get("content") for message in messages)
        if (
            messages == messages_of_pair(prompt, completion)
            and isinstance(prompt, str)
            and isinstance(completion, str)
        ):
            return prompt, completion
    raise _other_format(kind, ItemFormat.PROMPT_COMPLETION)


def _json_text(value: Any) -> str:
    try:
        return exact_json.dumps(value)
    except ValueError as error:
        raise NotUnderstood(f"The line cannot be stored: {error}") from None


def _other_format(kind: ItemFormat, wanted: ItemFormat) -> NotUnderstood:
    return NotUnderstood(f"The line is {NAMES[kind]}; each item of the dataset is {NAMES[wanted]}.")
