"""What a chat template is given for a conversation: the messages and tools as llama.cpp's server gives them.

llama.cpp reads a request, and renders its own form of it: training has to render the same form, or the model is
asked in other words than it was trained on. Compared with the embedded llama.cpp for the templates of trl.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from domain.control_tokens import messages_without_control_tokens, tools_without_control_tokens
from domain.conversations import Conversation, Message

LONGEST_PLAIN_NUMBER = 1e6
"""llama.cpp prints a float by C's `%g`: without a fraction and an exponent where it is whole and below this."""
FIRST_PART, SECOND_PART = "a8f3e2b1", "b9d4f5c2"


@dataclass(frozen=True, slots=True)
class TemplateInput:
    """The variables `messages` and `tools` of a chat template."""

    messages: list[Message]
    tools: list[Any] | None


@dataclass(frozen=True, slots=True)
class TemplateFeatures:
    """What a chat template takes: a tool call's arguments as an object, content as parts, which roles."""

    object_arguments: bool
    content_parts: bool
    system_role: bool
    developer_role: bool


def template_input(conversation: Conversation, tokenizer: PreTrainedTokenizerBase) -> TemplateInput:
    """The conversation in the form that the tokenizer's chat template takes, with no control token spelled in it.

    A null content becomes the empty text; `developer` becomes `system`, and content parts one text of a line each,
    where the template does not know them; `arguments`, which is JSON text, becomes the object that it stands for, but
    for templates that add it to a text. A first system message is put on a line of its own before the next message's
    text where the template does not render one. Keys that a template cannot know (`weight`, `refusal`, a tool's
    `strict`) are left out. Raises `ValueError` where `arguments` is not JSON.
    """
    tools = _template_tools(conversation.tools or [])
    features = features_of(tokenizer, tools)
    spelled = messages_without_control_tokens(conversation.messages)
    messages = [_template_message(message, features) for message in spelled]
    return TemplateInput(messages if features.system_role else _without_system(messages), tools or None)


def template_variables() -> dict[str, Any]:
    """The further variables that llama.cpp gives to every template."""
    today = datetime.now(UTC).astimezone()
    return {
        "enable_thinking": True,
        "datetime": today.strftime("%b %d %Y"),
        "date_string": today.strftime("%d %b %Y"),
    }


def features_of(tokenizer: PreTrainedTokenizerBase, tools: list[Any] | None = None) -> TemplateFeatures:
    """The features of the chat template that the tokenizer uses for these tools, found by rendering."""
    template = tokenizer.get_chat_template(tools=tools or None)
    return _features(template, tokenizer.bos_token or "", tokenizer.eos_token or "")


def _template_message(message: Message, features: TemplateFeatures) -> Message:
    role = message["role"]
    calls = message.get("tool_calls") or []
    optional = {
        "reasoning_content": message.get("reasoning_content"),
        "name": message.get("name"),
        "tool_call_id": message.get("tool_call_id"),
        "tool_calls": [_template_call(call, features) for call in calls],
    }
    return {
        "role": "system" if role == "developer" and not features.developer_role else role,
        "content": _template_content(message.get("content"), features),
        **{key: value for key, value in optional.items() if value},
    }


def _without_system(messages: list[Message]) -> list[Message]:
    if len(messages) < 2 or messages[0]["role"] != "system":
        return messages
    system, asked, *others = messages
    return [asked | {"content": f"{system['content']}\n{asked['content']}"}, *others]


def _template_content(content: Any, features: TemplateFeatures) -> Any:
    if not isinstance(content, list) or features.content_parts:
        return content or ""
    return "\n".join(part["text"] for part in content)


def _template_call(call: dict[str, Any], features: TemplateFeatures) -> dict[str, Any]:
    function = call["function"]
    arguments = function["arguments"]
    if features.object_arguments and isinstance(arguments, str):
        arguments = _plain_numbers(json.loads(arguments))
    called = {"type": "function", "function": {"name": function["name"], "arguments": arguments}}
    return called | ({"id": call["id"]} if call.get("id") else {})


def _template_tools(tools: list[Any]) -> list[Any]:
    return [_template_tool(tool["function"]) for tool in tools_without_control_tokens(tools)]


def _template_tool(function: dict[str, Any]) -> dict[str, Any]:
    parameters = function.get("parameters")
    described = {"name": function["name"], "description": function.get("description") or ""}
    return {
        "type": "function",
        "function": described | {"parameters": _plain_numbers(parameters or {}, digits=6)},
    }


def _plain_numbers(value: Any, digits: int | None = None) -> Any:
    """The JSON value with floats as llama.cpp prints them: 1.0 is 1.

    It prints six significant digits. That is done to tools alone: in a call, which is learned, all digits count.
    """
    match value:
        case float():
            rounded = value if digits is None else float(f"{value:.{digits}g}")
            return int(rounded) if rounded.is_integer() and abs(rounded) < LONGEST_PLAIN_NUMBER else rounded
        case list():
            return [_plain_numbers(element, digits) for element in value]
        case dict():
            return {name: _plain_numbers(member, digits) for name, member in value.items()}
        case _:
            return value


@lru_cache(maxsize=8)
def _features(template: str, bos_token: str, eos_token: str) -> TemplateFeatures:
    tokens = {"bos_token": bos_token, "eos_token": eos_token}
    return TemplateFeatures(
        object_arguments=_takes_object_arguments(template, tokens),
        content_parts=_takes_content_parts(template, tokens),
        system_role=_renders_system(template, tokens),
        developer_role="<|channel|>" in template,  # OpenAI's gpt-oss: llama.cpp knows it by the same sign
    )


def _takes_object_arguments(template: str, tokens: dict[str, str]) -> bool:
    """Whether the template renders an object, and not by Python's own notation for it."""
    function = {"name": FIRST_PART, "arguments": {FIRST_PART: SECOND_PART}}
    call = {"type": "function", "id": FIRST_PART, "function": function}
    asked = {"role": "user", "content": FIRST_PART}
    calling = {"role": "assistant", "content": "", "tool_calls": [call]}
    text = _rendered_or_none(template, [asked, calling], tokens)
    return text is not None and str(function["arguments"]) not in text


def _takes_content_parts(template: str, tokens: dict[str, str]) -> bool:
    """Whether the template renders the text of each part, and not the parts' JSON."""
    parts = [{"type": "text", "text": FIRST_PART}, {"type": "text", "text": SECOND_PART}]
    text = _rendered_or_none(template, [{"role": "user", "content": parts}], tokens) or ""
    return FIRST_PART in text and SECOND_PART in text and "type" not in text.partition(FIRST_PART)[0][-30:]


def _renders_system(template: str, tokens: dict[str, str]) -> bool:
    messages = [{"role": "system", "content": FIRST_PART}, {"role": "user", "content": SECOND_PART}]
    return FIRST_PART in (_rendered_or_none(template, messages, tokens) or "")


def _rendered_or_none(template: str, messages: list[Message], tokens: dict[str, str]) -> str | None:
    try:
        (text,), _ = render_jinja_template([messages], chat_template=template, **tokens)
    except Exception:  # noqa: BLE001 - a template is a program: it raises what it likes
        return None
    return str(text)
