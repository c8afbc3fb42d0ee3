"""Tool calls as the JSON text that a turn from function_call has: objects with `name` and `arguments`."""

from collections.abc import Sequence
from typing import Any

from domain import exact_json
from domain.line_formats.lines import CannotHold, NotUnderstood
from domain.line_formats.tools import CallIds, function_call

KEYS = frozenset({"id", "name", "arguments"})


def calls_of(value: Any, index: int, ids: CallIds) -> list[dict[str, Any]]:
    """The tool calls of a turn; `arguments` keep their text. Raises `NotUnderstood`."""
    try:
        text = value if isinstance(value, str) else exact_json.dumps(value)
        texts = exact_json.raw_elements(text) if text.lstrip().startswith("[") else [text]
        calls = [_call(exact_json.raw_members(call), ids) for call in texts]
    except (ValueError, KeyError):
        calls = []
    if not calls:
        raise NotUnderstood(
            "is a function call whose `value` is not the JSON text of an object with `name` and `arguments`, or of "
            "a list of them.",
            index,
        )
    return calls


def _call(members: dict[str, str], ids: CallIds) -> dict[str, Any]:
    """The tool call of the texts of its members; raises `KeyError` or `ValueError` where it is none."""
    name, arguments = exact_json.loads(members["name"]), members["arguments"]
    if not isinstance(name, str) or not members.keys() <= KEYS:
        raise ValueError
    id = exact_json.loads(members["id"]) if "id" in members else ids.new()
    return function_call(id, name, exact_json.loads(arguments) if arguments.startswith('"') else arguments)


def text_of_calls(calls: Any, index: int, ids: CallIds) -> str:
    """The JSON text of tool calls, with those ids that reading would not give; raises `CannotHold`."""
    if not isinstance(calls, list) or not all(map(_is_call, calls)):
        raise CannotHold(f"message {index + 1} has tool calls that are not of functions")
    texts = [_text(call, with_id=not ids.is_new(call.get("id"))) for call in calls]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _is_call(call: Any) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or call.keys() - {"id", "type", "function"}:
        return False
    texts: Sequence[Any] = (function.get("name"), function.get("arguments"), call.get("id", ""))
    return function.keys() == {"name", "arguments"} and all(isinstance(text, str) for text in texts)


def _text(call: dict[str, Any], *, with_id: bool) -> str:
    function = call["function"]
    arguments = (
        function["arguments"] if is_object(function["arguments"]) else exact_json.dumps(function["arguments"])
    )
    id = f'"id": {exact_json.dumps(call["id"])}, ' if with_id else ""
    return f'{{{id}"name": {exact_json.dumps(function["name"])}, "arguments": {arguments}}}'


def is_object(text: str) -> bool:
    """Whether a text is a JSON object with nothing around it."""
    try:
        return text == text.strip() and isinstance(exact_json.loads(text), dict)
    except ValueError:
        return False
