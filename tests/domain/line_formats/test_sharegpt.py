"""ShareGPT's lines: the sets of that time, tools and pairs as LLaMA-Factory has them."""

import json
from typing import Any

import pytest

from domain.conversations import ItemFormat
from domain.import_formats import ImportFormat
from domain.line_formats.conversion import read_line
from domain.line_formats.lines import CannotHold, NotUnderstood
from domain.line_formats.sharegpt import write
from tests.domain.line_formats.reading import assistant, calling, read_values, result, system, user
from tests.domain.line_formats.strategies import CHATS

SHAREGPT = ImportFormat.SHAREGPT
CONVERSATION, PREFERENCE = ItemFormat.CONVERSATION, ItemFormat.PREFERENCE
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": WEATHER}


def turn(name: str, value: Any, **keys: Any) -> dict[str, Any]:
    return {"from": name, "value": value, **keys}


def read_messages(*turns: Any, **keys: Any) -> Any:
    return read_values(SHAREGPT, {"conversations": list(turns), **keys}, CONVERSATION)["messages"]


@pytest.mark.parametrize("name", ["gpt", "assistant", "chatgpt", "bard", "bing", "GPT"])
def test_the_names_of_all_assistants_are_one_role(name: str) -> None:
    assert read_messages(turn("human", "a"), turn(name, "b")) == [user("a"), assistant("b")]


def test_a_system_prompt_may_be_a_turn_or_a_key() -> None:
    turns = (turn("user", "a"), turn("gpt", "b"))
    expected = [system("c"), user("a"), assistant("b")]
    assert read_messages(turn("system", "c"), *turns) == expected
    assert read_messages(*turns, system="c") == expected
    assert read_messages(turn("system", "c"), *turns, system="c") == expected
    assert read_messages(*turns, system="") == expected[1:]


def test_turns_may_have_roles_and_contents() -> None:
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "reasoning_content": "b"},
    ]
    assert read_messages(*turns) == turns


def test_weights_of_answers_are_kept_and_others_left_out() -> None:
    turns = (
        turn("human", "a", weight=0.0),
        turn("gpt", "b", weight=0),
        turn("human", "c"),
        turn("gpt", "d", weight=1.0),
    )
    assert read_messages(*turns) == [user("a"), assistant("b", weight=0), user("c"), assistant("d")]


def test_calls_and_results_of_tools_are_linked() -> None:
    line = {
        "conversations": [
            turn("human", "Warm?"),
            turn("function_call", '{"name": "weather", "arguments": {"city":"Lima",  "days": 1.0}}'),
            turn("observation", "24 °C"),
            turn("gpt", "Yes."),
            turn("human", "And there?"),
            turn(
                "function_call",
                '[{"name": "weather", "arguments": {}}, {"name": "weather", "arguments": "{ }"}]',
            ),
            turn("observation", "1"),
            turn("tool", "2"),
            turn("gpt", "No."),
        ],
        "tools": json.dumps([WEATHER]),
    }
    assert read_values(SHAREGPT, line, CONVERSATION) == {
        "messages": [
            user("Warm?"),
            calling(("call_1", "weather", '{"city":"Lima",  "days": 1.0}')),
            result("call_1", "24 °C"),
            assistant("Yes."),
            user("And there?"),
            calling(("call_2", "weather", "{}"), ("call_3", "weather", "{ }")),
            result("call_2", "1"),
            result("call_3", "2"),
            assistant("No."),
        ],
        "tools": [TOOL],
    }


def test_ids_of_calls_are_written_only_where_they_are_others() -> None:
    def written(*ids: str) -> Any:
        calls = calling(*((id, "f", '{"a":1}') for id in ids))
        results = [result(id, "b") for id in ids]
        line = {"messages": [user("a"), calls, *results, assistant("c")], "tools": [TOOL]}
        assert read_values(SHAREGPT, write(line), CONVERSATION) == line
        return write(line)["conversations"][1]["value"]

    assert written("call_1") == '{"name": "f", "arguments": {"a":1}}'
    assert written("abc") == '{"id": "abc", "name": "f", "arguments": {"a":1}}'
    assert written("abc", "call_1") == (
        '[{"id": "abc", "name": "f", "arguments": {"a":1}}, {"name": "f", "arguments": {"a":1}}]'
    )


def test_chosen_and_rejected_are_a_pair() -> None:
    line = {
        "conversations": [turn("human", "2 + 2?")],
        "chosen": turn("gpt", "4"),
        "rejected": turn("gpt", "5"),
        "score": 0.5,
    }
    assert read_values(SHAREGPT, line, PREFERENCE) == {
        "input": {"messages": [user("2 + 2?")]},
        "preferred_output": [assistant("4")],
        "non_preferred_output": [assistant("5")],
    }
    line["rejected"] = turn("function_call", '{"name": "f", "arguments": {}}')
    rejected = read_values(SHAREGPT, line, PREFERENCE)["non_preferred_output"]
    assert rejected == [calling(("call_1", "f", "{}"))]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"conversations": "a"}, "The line has no list `conversations`."),
        ({"conversations": ["a"]}, "Message 1 is not an object."),
        ({"conversations": [turn("human", "a"), turn("narrator", "b")]}, "Message 2 is from 'narrator'; known are system, human, user, gpt, assistant, chatgpt, bard, bing, bot, model, function_call, tool, observation, function_response."),
        ({"conversations": [turn("human", None)]}, "Message 1 has no text as its `value`."),
        ({"conversations": [turn("human", "a", markdown="b")]}, "Message 1 has the unknown key 'markdown'."),
        ({"conversations": [turn("gpt", "a", weight=0.5)]}, "Message 1 has a `weight` that is neither 0 nor 1."),
        ({"conversations": [turn("observation", "a")]}, "Message 1 is the result of a tool, but answers no call before it."),
        ({"conversations": [turn("function_call", "f(x)")]}, "Message 1 is a function call whose `value` is not the JSON text of an object with `name` and `arguments`, or of a list of them."),
        ({"conversations": [turn("function_call", '{"name": "f", "arguments": {}, "x": 1}')]}, "Message 1 is a function call whose `value` is not the JSON text of an object with `name` and `arguments`, or of a list of them."),
        ({"conversations": [turn("system", "a"), turn("human", "b")], "system": "c"}, "Message 1 is a system message other than `system`."),
        ({"conversations": [turn("human", "a")], "chosen": turn("gpt", "b")}, "`rejected` is not one turn."),
        ({"conversations": [turn("human", "a")], "chosen": turn("gpt", "b"), "rejected": turn("human", "c")}, "`rejected` is not a turn of the assistant."),
        ({"conversations": [turn("human", "<image>")], "images": ["a.png"]}, "The line has `images`; only texts can be learned."),
        ({"conversations": [turn("human", "a")], "kto_tag": False}, "The line has `kto_tag`: answers that are marked as good or bad one by one cannot be learned, but pairs of a better and a worse answer can."),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_name(line: Any, message: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        read_line(SHAREGPT, line, CHATS)
    assert refused.value.message == message


ASKED, ANSWER = user("a"), assistant("b")
CALLS = calling(("c", "f", "{}"), ("d", "f", "{}"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"messages": [ASKED, ANSWER], "parallel_tool_calls": False}, "it has `parallel_tool_calls`"),
        ({"messages": [ASKED, {**ANSWER, "weight": 0}]}, "message 2 has the weight 0"),
        ({"messages": [ASKED, {**ANSWER, "reasoning_content": "c"}]}, "message 2 has `reasoning_content`"),
        ({"messages": [{"role": "developer", "content": "c"}, ASKED, ANSWER]}, "message 1 has the role 'developer'"),
        ({"messages": [ASKED, {**CALLS, "content": "I look."}]}, "message 2 has both a content and tool calls"),
        ({"messages": [ASKED, CALLS, result("d", "1"), result("c", "2")]}, "message 3 does not answer the next of the tool calls"),
        ({"messages": [ASKED, CALLS, result("c", "1", name="f")]}, "message 3 has `name`"),
        ({"messages": [ASKED, {**CALLS, "tool_calls": [{"type": "custom"}]}]}, "message 2 has tool calls that are not of functions"),
    ],
)  # fmt: skip
def test_what_it_cannot_hold_is_said(line: Any, reason: str) -> None:
    with pytest.raises(CannotHold) as refused:
        write(line)
    assert refused.value.message == reason
