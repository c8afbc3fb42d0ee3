"""Texts that spell a control token of a chat template, such as `<|im_end|>`, and how that spelling is broken."""

import json
import re
from collections.abc import Iterable
from typing import Any

from domain.conversations import Message

CONTROL_TOKEN = re.compile(
    r"<[|\uff5c][^<>|\uff5c\s]{1,64}[|\uff5c]>"  # ChatML, Llama 3, Phi, Granite; DeepSeek with full-width bars
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK|ARGS|CALL_ID)\]"
    r"|<</?SYS>>"
    r"|</?(?:s|think|tool_call|tool_response|tool_calls|tools|bos|eos|pad|unk|mask|start_of_turn|end_of_turn)>"
)
"""The control tokens of the chat templates of current model families."""
WORD_JOINER = "\u2060"


def control_token_in(text: str) -> str | None:
    """The first control token that a text spells; None where it spells none."""
    if "<" not in text and "[" not in text:  # most texts; twenty times as fast
        return None
    found = CONTROL_TOKEN.search(text)
    return found[0] if found else None


def without_control_tokens(text: str) -> str:
    """The text with one U+2060 (word joiner) after the first character of each spelling of a control token.

    A tokenizer then encodes the spelling as text. Training and the gateway of the embedded runtime both ask this.
    """
    if control_token_in(text) is None:
        return text
    return CONTROL_TOKEN.sub(lambda found: found[0][0] + WORD_JOINER + found[0][1:], text)


def messages_without_control_tokens(messages: Iterable[Message]) -> list[Message]:
    """The messages with no spelling of a control token in any of their strings.

    Training renders the result and the gateway sends it to the embedded runtime, so that both get the same token ids.
    Every string value is passed to `without_control_tokens`: `content` and the text of its parts, `reasoning_content`,
    names and ids. A tool call's `arguments` is JSON text, which the template is given parsed: where one of its strings
    spells a control token, even by JSON escapes, the JSON is written anew with the spelling broken;
    where none does, it stays the text it was. Keys are left alone.
    """
    return [_without_control_tokens(message) for message in messages]


def tools_without_control_tokens(tools: Iterable[Any]) -> list[Any]:
    """The tool definitions with no spelling of a control token in any `description`.

    Names, enumerations and defaults are left alone: they are what the model has to answer with.
    """
    return [_without_control_tokens(tool, only_key="description") for tool in tools]


def _without_control_tokens(value: Any, key: str | None = None, only_key: str | None = None) -> Any:
    match value:
        case str() if key == "arguments" and only_key is None:
            return _json_without_control_tokens(value)
        case str():
            return without_control_tokens(value) if only_key in {None, key} else value
        case list() if key == "content":
            return _separate_parts([_without_control_tokens(part) for part in value])
        case list():
            return [_without_control_tokens(element, key, only_key) for element in value]
        case dict():
            return {name: _without_control_tokens(member, name, only_key) for name, member in value.items()}
        case _:
            return value


def _separate_parts(parts: list[Any]) -> list[Any]:
    """The parts of a content, with U+2060 between them where their texts spell a control token together.

    Templates write the parts of a content one after the other, some without white space around them.
    """
    texts = [
        part["text"].strip() for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)
    ]
    if control_token_in("".join(texts)) is None:
        return parts
    return [
        {**part, "text": WORD_JOINER + part["text"]}
        if isinstance(part, dict) and isinstance(part.get("text"), str)
        else part
        for part in parts
    ]


def _json_without_control_tokens(text: str) -> str:
    try:
        unescaped = json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return without_control_tokens(text)
    return without_control_tokens(unescaped) if control_token_in(unescaped) else text
