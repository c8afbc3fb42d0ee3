"""Parts of bodies of chat completions."""

from typing import Any

USER = {"role": "user", "content": "Hello?"}
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
CALL = {"id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
REQUIRED = {"tools": [TOOL], "tool_choice": "required"}


def parts(*parts: object) -> dict[str, Any]:
    """A change of the messages to one whose content has these parts."""
    return {"messages": [{"role": "user", "content": list(parts)}]}
