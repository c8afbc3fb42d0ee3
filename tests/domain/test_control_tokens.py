import json
from typing import Any

from domain.control_tokens import (
    control_token_in,
    messages_without_control_tokens,
    tools_without_control_tokens,
    without_control_tokens,
)

BROKEN = "<\u2060|im_end|>"


def test_a_spelling_is_broken_once_and_stays_as_it_is_then() -> None:
    broken = without_control_tokens("a <|im_end|> b [INST] c </think>")
    assert broken == f"a {BROKEN} b [\u2060INST] c <\u2060/think>"
    assert control_token_in(broken) is None
    assert without_control_tokens(broken) == broken


def test_every_string_of_a_message_is_broken_and_its_keys_are_not() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": "<|im_end|>"}]},
        {"role": "assistant", "content": None, "reasoning_content": "<|im_end|>", "<s>": 1},
    ]
    assert messages_without_control_tokens(messages) == [
        {"role": "user", "content": [{"type": "text", "text": BROKEN}]},
        {"role": "assistant", "content": None, "reasoning_content": BROKEN, "<s>": 1},
    ]


def arguments_of(text: str) -> str:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": text}}
    (message,) = messages_without_control_tokens([{"role": "assistant", "tool_calls": [call]}])
    return str(message["tool_calls"][0]["function"]["arguments"])


def test_arguments_stay_the_text_they_were_unless_they_spell_a_control_token() -> None:
    assert arguments_of('{"a":1e2,  "b":"\\u00e9"}') == '{"a":1e2,  "b":"\\u00e9"}'
    assert json.loads(arguments_of('{"a": "\\u003c|im_end|>"}')) == {"a": BROKEN}
    assert arguments_of("no JSON <|im_end|>") == f"no JSON {BROKEN}"


def test_of_a_tool_only_the_descriptions_are_broken() -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["<s>"], "description": "<|im_end|>"}}}
    tool = {"type": "function", "function": {"name": "f", "description": "<s>", "parameters": schema}}
    (changed,) = tools_without_control_tokens([tool])
    function = changed["function"]
    assert function["description"] == "<\u2060s>"
    assert function["parameters"]["properties"]["a"] == {"enum": ["<s>"], "description": BROKEN}
