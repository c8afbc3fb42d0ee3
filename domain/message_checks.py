"""Rules of a single message and of a single tool, in OpenAI's chat format, as sentences about what breaks them."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from domain.conversations import ROLES
from domain.json_values import first_repeated, parsed_json

SHOWN = 100
"""Most characters of a name in a sentence."""
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
NAME_RULE = "a name has 1 to 64 of the characters a-z, A-Z, 0-9, _ and -"
KEYS: Mapping[str, tuple[str, ...]] = {
    "role": ROLES,
    "content": ROLES,
    "name": ROLES,
    "tool_calls": ("assistant",),
    "reasoning_content": ("assistant",),
    "weight": ("assistant",),
    "tool_call_id": ("tool",),
}
"""The keys of a message, and the roles that may have each; null stands for an absent key."""
MEDIA: Mapping[str, str] = {
    "image_url": "an image",
    "input_image": "an image",
    "image": "an image",
    "input_audio": "audio",
    "audio_url": "audio",
    "audio": "audio",
    "video_url": "a video",
    "video": "a video",
    "file": "a file",
    "input_file": "a file",
    "refusal": "a refusal",
}
"""What a part of a content is that is no text, by its type."""


def message_name(message: Any, number: int, of: str = "") -> str:
    """What a message is called in a sentence, such as "Message 3 (assistant)"; `number` is counted from 1."""
    role = message.get("role") if isinstance(message, dict) else None
    return f"Message {number}{f' ({role[:20]})' if isinstance(role, str) else ''}{of}"


def message_faults(name: str, message: Any) -> Iterator[str]:
    """What is wrong with a message by itself; `name` is the message's in these sentences."""
    if not isinstance(message, dict):
        yield f"{name} is not a JSON object."
        return
    role = message.get("role")
    if role not in ROLES:
        yield f"{name} has {_shown_role(role)}; the roles are system, developer, user, assistant and tool."
        return
    present = {key: value for key, value in message.items() if value is not None}
    yield from _key_faults(name, role, message, present)
    yield from _content_faults(name, role, present)
    if role == "tool" and not present.get("tool_call_id"):
        yield f"{name} has no `tool_call_id`, the id of the call whose result it is."
    for key, check in VALUE_CHECKS.items():
        if key in present:
            yield from check(name, present[key])


def _shown_role(role: Any) -> str:
    return f"the role {shown(role)}" if isinstance(role, str) else "no role"


def shown(text: str) -> str:
    """A text of the data in quotation marks, cut where it is long."""
    return f"'{text[:SHOWN]}'"


def _key_faults(
    name: str, role: str, message: Mapping[str, Any], present: Mapping[str, Any]
) -> Iterator[str]:
    for key in message:
        if key not in KEYS:
            yield f"{name} has the unknown key {shown(key)}."
        elif key in present and role not in KEYS[key]:
            yield f"{name} has `{key}`, which is for {KEYS[key][0]} messages alone."


def _content_faults(name: str, role: str, present: Mapping[str, Any]) -> Iterator[str]:
    content = present.get("content")
    if content is None:
        if role != "assistant":
            yield f"{name} has no content."
        elif not present.get("tool_calls") and not present.get("reasoning_content"):
            yield f"{name} has no content, no reasoning and no tool call."
    elif isinstance(content, list):
        if not content:
            yield f"{name} has an empty list as its content."
        for number, part in enumerate(content, 1):
            yield from _part_faults(name, number, part)
    elif not isinstance(content, str):
        yield f"{name} has a content that is neither a text nor a list of parts."


def _part_faults(name: str, number: int, part: Any) -> Iterator[str]:
    what = f"{name}: part {number} of the content"
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict):
        yield f"{what} is not a JSON object."
    elif isinstance(kind, str) and kind in MEDIA:
        yield f"{name} has {MEDIA[kind]} in its content; only texts can be learned."
    elif kind != "text":
        yield f"{what} is not of the type 'text'."
    elif not isinstance(part.get("text"), str):
        yield f"{what} has no text."
    elif unknown := [key for key in part if key not in {"type", "text"}]:
        yield f"{what} has the unknown key {shown(unknown[0])}."


def _name_faults(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{name} has a `name` that is no text."
    elif not NAME.fullmatch(value):
        yield f"{name} has the name {shown(value)}; {NAME_RULE}."


def _reasoning_faults(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{name} has a `reasoning_content` that is no text."


def _weight_faults(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, int) or isinstance(value, bool) or value not in {0, 1}:
        yield f"{name} has a `weight` that is neither 0 nor 1."


def _call_id_faults(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{name} has a `tool_call_id` that is no text."


def _calls_faults(name: str, calls: Any) -> Iterator[str]:
    if not isinstance(calls, list):
        yield f"{name} has `tool_calls` that are no list."
        return
    for number, call in enumerate(calls, 1):
        yield from _call_faults(f"{name}: tool call {number}", call)
    ids = [call["id"] for call in calls if isinstance(call, dict) and isinstance(call.get("id"), str)]
    if twice := first_repeated(ids):
        yield f"{name} has two tool calls with the id {shown(twice)}."


def _call_faults(what: str, call: Any) -> Iterator[str]:
    if not isinstance(call, dict):
        yield f"{what} is not a JSON object."
        return
    if unknown := [key for key in call if key not in {"id", "type", "function"}]:
        yield f"{what} has the unknown key {shown(unknown[0])}."
    if not isinstance(call.get("id"), str) or not call["id"]:
        yield f"{what} has no `id`."
    if call.get("type") not in (None, "function"):
        yield f"{what} is not of the type 'function'."
    function = call.get("function")
    if isinstance(function, dict):
        yield from _function_faults(what, function)
    else:
        yield f"{what} has no `function`, an object with `name` and `arguments`."


def _function_faults(what: str, function: dict[str, Any]) -> Iterator[str]:
    if unknown := [key for key in function if key not in {"name", "arguments"}]:
        yield f"{what} has the unknown key {shown(unknown[0])} in its function."
    yield from _function_name_faults(what, function.get("name"))
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        yield f"{what} has `arguments` that are not JSON text."
        return
    try:
        value = parsed_json(arguments)
    except ValueError as error:
        yield f"{what} has `arguments` whose text {error}."
        return
    if not isinstance(value, dict):
        yield f"{what} has `arguments` that are not the JSON text of an object."


def _function_name_faults(what: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{what} has a function without a name."
    elif not NAME.fullmatch(value):
        yield f"{what} has a function of the name {shown(value)}; {NAME_RULE}."


VALUE_CHECKS: Mapping[str, Callable[[str, Any], Iterator[str]]] = {
    "name": _name_faults,
    "reasoning_content": _reasoning_faults,
    "weight": _weight_faults,
    "tool_call_id": _call_id_faults,
    "tool_calls": _calls_faults,
}


def tools_faults(tools: Any) -> Iterator[str]:
    """What is wrong with the definitions of tools."""
    if tools is None:
        return
    if not isinstance(tools, list):
        yield "`tools` is not a list."
        return
    for number, tool in enumerate(tools, 1):
        yield from _tool_faults(f"Tool {number}", tool)
    if twice := first_repeated(tool_names(tools)):
        yield f"`tools` declares {shown(twice)} twice."


def tool_names(tools: Any) -> list[str]:
    """The names that tools are declared with."""
    functions = [tool.get("function") for tool in tools or () if isinstance(tool, dict)]
    names = [function.get("name") for function in functions if isinstance(function, dict)]
    return [name for name in names if isinstance(name, str)]


def _tool_faults(what: str, tool: Any) -> Iterator[str]:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(tool, dict):
        yield f"{what} is not a JSON object."
    elif tool.get("type") != "function":
        yield f"{what} is not of the type 'function'; others cannot be learned."
    elif not isinstance(function, dict):
        yield f"{what} has no `function`, an object with `name` and `parameters`."
    else:
        yield from _function_name_faults(what, function.get("name"))
        if not isinstance(function.get("description", ""), str | None):
            yield f"{what} has a `description` that is no text."
        yield from _parameter_faults(what, function.get("parameters"))


def _parameter_faults(what: str, parameters: Any) -> Iterator[str]:
    if parameters is None:
        return
    if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
        yield f"{what} has `parameters` that are not the JSON schema of an object."
    elif not isinstance(parameters.get("properties", {}), dict):
        yield f"{what} has `properties` that are not an object."
