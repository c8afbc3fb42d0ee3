"""Alpaca's lines, as the original has them and as LLaMA-Factory extends them."""

from typing import Any

import pytest

from domain.conversations import ItemFormat
from domain.import_formats import ImportFormat
from domain.line_formats.alpaca import write
from domain.line_formats.conversion import read_line
from domain.line_formats.lines import CannotHold, NotUnderstood
from tests.domain.line_formats.reading import assistant, calling, read_values, result, system, user
from tests.domain.line_formats.strategies import CHATS, PAIRS

ALPACA = ImportFormat.ALPACA
PAIR, CONVERSATION, PREFERENCE = ItemFormat.PROMPT_COMPLETION, ItemFormat.CONVERSATION, ItemFormat.PREFERENCE


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ({"instruction": "Name a colour.", "input": ""}, "Name a colour."),
        ({"instruction": "Name a colour."}, "Name a colour."),
        ({"instruction": "Name a colour.", "input": None, "system": "", "history": []}, "Name a colour."),
        ({"instruction": "Classify.", "input": "It is nice."}, "Classify.\nIt is nice."),
        ({"instruction": "", "input": "It is nice."}, "It is nice."),
    ],
)
def test_the_input_is_asked_below_the_instruction(line: dict[str, Any], prompt: str) -> None:
    line["output"] = "good"
    assert read_values(ALPACA, line, PAIR) == {"question": prompt, "answer": "good"}
    assert read_values(ALPACA, line, CONVERSATION) == {"messages": [user(prompt), assistant("good")]}


def test_system_and_history_are_kept() -> None:
    line = {
        "instruction": "And on Sundays?",
        "input": "",
        "output": "From 7 to 11.",
        "system": "You are Lotte.",
        "history": [["Open on May 1?", "Yes."], ["On May 2?", "No."]],
        "text": "Below is an instruction",
    }
    item = read_line(ALPACA, line, CHATS)
    assert item.ignored == ("text",)
    turns = [user("Open on May 1?"), assistant("Yes."), user("On May 2?"), assistant("No.")]
    messages = [system("You are Lotte."), *turns, user("And on Sundays?"), assistant("From 7 to 11.")]
    assert read_values(ALPACA, line, CONVERSATION) == {"messages": messages}
    assert write({"messages": messages}) == {name: line[name] for name in line if name != "text"}


def test_ranked_answers_are_a_pair() -> None:
    line = {"instruction": "Add.", "input": "2 + 2", "chosen": "4", "rejected": "5", "system": "Be brief."}
    assert read_values(ALPACA, line, PREFERENCE) == {
        "input": {"messages": [system("Be brief."), user("Add.\n2 + 2")]},
        "preferred_output": [assistant("4")],
        "non_preferred_output": [assistant("5")],
    }


def test_tools_are_kept() -> None:
    line = {"instruction": "a", "output": "b", "tools": '[{"type": "function", "function": {"name": "f"}}]'}
    assert read_values(ALPACA, line, CONVERSATION)["tools"][0]["function"] == {"name": "f"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"output": "b"}, "The line has no `instruction`."),
        ({"instruction": "a"}, "The line has no `output`."),
        ({"instruction": "a", "output": ["b", "c"]}, "`output` is not a text."),
        ({"instruction": "a", "input": {}, "output": "b"}, "`input` is not a text."),
        ({"instruction": "a", "output": "b", "history": "c"}, "`history` is not a list."),
        ({"instruction": "a", "output": "b", "history": [["c", "d"], ["e"]]}, "Turn 2 of `history` is not a list of two texts, a question and its answer."),
        ({"instruction": "a", "output": "b", "chosen": "c", "rejected": "d"}, "The line has both `output` and `chosen` or `rejected`."),
        ({"instruction": "a", "chosen": "c"}, "The line has no `rejected`."),
        ({"instruction": "a", "output": "b", "system": "c"}, "The line is a conversation; each item of the dataset is a prompt with its completion."),
        ({"messages": []}, "The line has no `instruction`."),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_name(line: Any, message: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        read_line(ALPACA, line, PAIRS)
    assert refused.value.message == message


ASKED = user("a")
ANSWER = assistant("b")
TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"messages": [ASKED, ANSWER], "tools": [TOOL]}, "it has `tools`"),
        ({"messages": [ASKED, ANSWER], "parallel_tool_calls": True}, "it has `parallel_tool_calls`"),
        ({"messages": [ASKED, {**ANSWER, "weight": 0}, ASKED, ANSWER]}, "message 2 has the weight 0"),
        ({"messages": [ASKED, {**ANSWER, "reasoning_content": "c"}]}, "message 2 has `reasoning_content`"),
        ({"messages": [{**ASKED, "name": "Ada"}, ANSWER]}, "message 1 has `name`"),
        ({"messages": [{"role": "developer", "content": "c"}, ASKED, ANSWER]}, "message 1 is not the user's"),
        ({"messages": [system(""), ASKED, ANSWER]}, "message 1 is an empty system message"),
        ({"messages": [user(""), {"role": "assistant", "content": [{"type": "text", "text": "b"}]}]}, "message 2 has its content in parts"),
        ({"messages": [ASKED, calling(("c", "f", "{}")), result("c", "d"), ANSWER]}, "message 2 has `tool_calls`"),
        ({"messages": [ASKED, {"role": "assistant", "content": None}]}, "message 2 has no content"),
        ({"messages": [ASKED, ANSWER, ANSWER]}, "its last message but one is not the user's"),
        ({"messages": [ASKED, ASKED]}, "message 2 is not the assistant's"),
        ({"messages": []}, "it is invalid and not made of messages"),
    ],
)  # fmt: skip
def test_what_it_cannot_hold_is_said(line: Any, reason: str) -> None:
    with pytest.raises(CannotHold) as refused:
        write(line)
    assert refused.value.message == reason
