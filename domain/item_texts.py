"""What is read of an item's values, in each format: the texts that are compared, counted, searched for and split by."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from domain import conversation_texts as chats
from domain.conversations import CONVERSATION_FIELDS, PREFERENCE_FIELDS, ItemFormat
from domain.datasets import Dataset
from domain.json_values import parsed_json
from domain.texts import estimate_tokens, normalized, replace_invalid_characters

FIELDS_OF_FORMAT = {ItemFormat.CONVERSATION: CONVERSATION_FIELDS, ItemFormat.PREFERENCE: PREFERENCE_FIELDS}


class ItemTexts(NamedTuple):
    """Texts and sizes of an item.

    `asked` decides the split. Items with equal `input` and `output` are duplicates, with equal `input` and another
    `output` contradictions. `learned_size` is the length of what is learned in characters, `is_blank` whether that is
    white space alone. `search` is what is searched in, None for the values themselves. `json` are the values of the
    fields that are JSON, without absent ones; None where one cannot be read, and `fault` says why.
    """

    asked: str
    input: str
    output: str
    tokens: int
    learned_size: int
    is_blank: bool = False
    search: str | None = None
    json: dict[str, Any] | None = None
    fault: str | None = None


def texts_of(dataset: Dataset, values: Mapping[str, str]) -> ItemTexts:
    """The texts of an item's values."""
    if dataset.item_format is ItemFormat.PROMPT_COMPLETION:
        asked, answer = values[dataset.input_field], values[dataset.output_field]
        return ItemTexts(asked, asked, answer, estimate_tokens(asked) + estimate_tokens(answer), len(answer))
    try:
        found = json_of(dataset.item_format, values)
    except ValueError as error:
        return _texts_of_no_json(values, str(error))
    if dataset.item_format is ItemFormat.CONVERSATION:
        return _conversation_texts(values, found)
    return _preference_texts(found)


def json_of(item_format: ItemFormat, values: Mapping[str, str]) -> dict[str, Any]:
    """The JSON of an item's values by field, without absent ones; raises `ValueError` with a sentence."""
    found = {}
    for name in FIELDS_OF_FORMAT[item_format]:
        if values[name].strip():
            try:
                found[name] = parsed_json(values[name])
            except ValueError as error:
                raise ValueError(f"The field '{name}' {error}.") from None
    return found


def _texts_of_no_json(values: Mapping[str, str], fault: str) -> ItemTexts:
    text = "\n".join(values.values())
    return ItemTexts(text, text, "", estimate_tokens(text), 0, fault=fault)


def _conversation_texts(values: Mapping[str, str], found: dict[str, Any]) -> ItemTexts:
    messages = chats.messages_in(found.get("messages"))
    before, answer = chats.without_last_answer(messages)
    learned = [message for message in messages if chats.is_learned(message)]
    return ItemTexts(
        asked=chats.compared_text(chats.asked_first(messages)),
        input=chats.compared_tools(found) + chats.compared_text(before),
        output=chats.compared_text(answer),
        tokens=_tokens(messages) + estimate_tokens(values["tools"]),
        learned_size=sum(map(chats.size_of, learned)),
        is_blank=all(map(chats.is_blank, learned)),
        search=_searched(messages),
        json=found,
    )


def _preference_texts(found: dict[str, Any]) -> ItemTexts:
    """The texts of a pair: it contradicts another one where both have the same outputs and prefer the other one."""
    asked = found.get("input")
    conversation = asked if isinstance(asked, dict) else {}
    messages = chats.messages_in(conversation.get("messages"))
    preferred, other = (chats.messages_in(found.get(name)) for name in PREFERENCE_FIELDS[1:])
    outputs = [chats.compared_text(preferred), chats.compared_text(other)]
    tools = chats.compared_tools(conversation)
    return ItemTexts(
        asked=chats.compared_text(messages),
        input=chats.END_OF_MESSAGE.join(
            [tools, chats.compared_text(messages), *sorted(outputs, key=normalized)]
        ),
        output=chats.END_OF_MESSAGE.join(outputs),
        tokens=_tokens(messages) + estimate_tokens(tools) + max(_tokens(preferred), _tokens(other)),
        learned_size=sum(map(chats.size_of, preferred)),
        is_blank=all(map(chats.is_blank, preferred)),
        search=_searched([*messages, *preferred, *other]),
        json=found,
    )


def _tokens(messages: list[dict[str, Any]]) -> int:
    return sum(estimate_tokens(text) for message in messages for text in chats.texts_of(message))


def _searched(messages: list[dict[str, Any]]) -> str:
    return replace_invalid_characters(chats.searched_text(messages))
