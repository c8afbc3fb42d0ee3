"""ChatML with tools: what is rendered, and that it is a prefix of what is rendered once more turns follow."""

from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from infra.training.chat_templates import CHATML, chatml_with_eos_token

TOOL = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "The time in a <city> & 'its' zone, à présent.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
TOOL_LINE = (
    '{"type": "function", "function": {"name": "get_time", "description": '
    "\"The time in a <city> & 'its' zone, à présent.\", "
    '"parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}'
)
INSTRUCTIONS = (
    f"You can call these tools. Each line describes one:\n<tools>\n{TOOL_LINE}\n</tools>\n"
    "To call tools, answer with one block for each call:\n"
    '<tool_call>\n{"name": NAME, "arguments": {PARAMETER: VALUE}}\n</tool_call>'
)


def call(arguments: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "get_time", "arguments": arguments}}


CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What time is it?"},
    {
        "role": "assistant",
        "content": None,
        "reasoning_content": "Two cities.",
        "tool_calls": [call({"city": "Oslo"}), call({"city": "Kyiv"})],
    },
    {"role": "tool", "content": "14:05"},
    {"role": "tool", "content": "15:05"},
    {"role": "assistant", "content": "14:05 and 15:05."},
    {"role": "user", "content": "Again."},
    {"role": "assistant", "content": "Once more.", "tool_calls": [call("{}")]},
]
TURNS = [
    f"<|im_start|>system\nBe brief.\n\n{INSTRUCTIONS}<|im_end|>\n",
    "<|im_start|>user\nWhat time is it?<|im_end|>\n",
    (
        "<|im_start|>assistant\n<think>Two cities.</think>\n\n"
        '<tool_call>\n{"name": "get_time", "arguments": {"city": "Oslo"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "get_time", "arguments": {"city": "Kyiv"}}\n</tool_call><|im_end|>\n'
    ),
    "<|im_start|>user\n<tool_response>\n14:05\n</tool_response>\n<tool_response>\n15:05\n</tool_response><|im_end|>\n",
    "<|im_start|>assistant\n14:05 and 15:05.<|im_end|>\n",
    "<|im_start|>user\nAgain.<|im_end|>\n",
    '<|im_start|>assistant\nOnce more.\n<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call><|im_end|>\n',
]


def rendered(chat: list[dict[str, Any]], tools: list[Any] | None = None, *, prompt: bool = False) -> str:
    texts, _ = render_jinja_template([chat], chat_template=CHATML, tools=tools, add_generation_prompt=prompt)
    return str(texts[0])


def test_tools_calls_and_results_are_rendered_in_turns() -> None:
    assert rendered(CHAT, [TOOL]) == "".join(TURNS)
    assert rendered(CHAT[1:2], [TOOL]) == f"<|im_start|>system\n{INSTRUCTIONS}<|im_end|>\n" + TURNS[1]


@pytest.mark.parametrize("tools", [None, []])
def test_a_chat_without_tools_is_plain_chatml(tools: list[Any] | None) -> None:
    chat = [
        {"role": role, "content": text}
        for role, text in (
            ("system", "A\n"),
            ("user", " b"),
            ("assistant", "c "),
            ("user", ""),
            ("assistant", "e"),
        )
    ]
    plain = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in chat)
    assert rendered(chat, tools) == plain
    assert rendered(chat, tools, prompt=True) == plain + "<|im_start|>assistant\n"


@pytest.mark.parametrize("index", [index for index, turn in enumerate(CHAT) if turn["role"] == "assistant"])
def test_what_comes_before_an_answer_is_rendered_alike_once_it_follows(index: int) -> None:
    whole, before = rendered(CHAT, [TOOL]), rendered(CHAT[:index], [TOOL], prompt=True)
    assert whole.startswith(before)
    assert whole.startswith(rendered(CHAT[: index + 1], [TOOL]))


def test_a_tokenizer_without_the_end_of_a_turn_gets_its_own() -> None:
    assert "<|im_end|>" not in chatml_with_eos_token("</s>")
    assert chatml_with_eos_token("</s>").count("</s>") == CHATML.count("<|im_end|>")
