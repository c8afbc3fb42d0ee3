"""OpenAI's lines: what is read in today's format, deprecated keys too, and what is refused."""

from typing import Any

import pytest

from domain import exact_json
from domain.conversations import ItemFormat
from domain.import_formats import ImportFormat
from domain.line_formats.conversion import read_line, write_line
from domain.line_formats.lines import NotUnderstood
from tests.domain.line_formats.reading import assistant, calling, read_values, result, user
from tests.domain.line_formats.strategies import CHATS, PAIRS, PREFERENCES

OPENAI = ImportFormat.OPENAI
CONVERSATION, PREFERENCE = ItemFormat.CONVERSATION, ItemFormat.PREFERENCE
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {}}}


def test_numbers_and_absent_keys_stay_as_they_are() -> None:
    text = (
        '{"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": null}], '
        '"tools": [{"type": "function", "function": {"name": "f", "parameters": {"maximum": 1e400, "b": 1.10}}}]}'
    )
    item = read_line(OPENAI, exact_json.loads(text), CHATS)
    assert '{"maximum": 1e400, "b": 1.10}' in item.values["tools"]
    assert item.values["parallel_tool_calls"] == ""
    assert exact_json.dumps(write_line(OPENAI, tuple(item.values.values()), CHATS)) == text


@pytest.mark.parametrize("value", [None, []])
def test_null_and_an_empty_list_are_no_absent_key(value: Any) -> None:
    line = {"messages": [user("a"), assistant("b")], "tools": value, "parallel_tool_calls": None}
    item = read_line(OPENAI, line, CHATS)
    assert (item.values["tools"], item.values["parallel_tool_calls"]) == (exact_json.dumps(value), "null")
    assert write_line(OPENAI, tuple(item.values.values()), CHATS) == line


def test_deprecated_functions_are_tools() -> None:
    line = {
        "messages": [
            user("Warm?"),
            {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{ }"}},
            {"role": "function", "name": "weather", "content": "24"},
            {"role": "assistant", "function_call": {"name": "weather", "arguments": ""}, "weight": 0},
            {"role": "function", "name": "weather", "content": "25"},
            assistant("Yes.", function_call=None),
        ],
        "functions": [WEATHER],
        "function_call": "auto",
    }
    again = {name: value for name, value in calling(("call_2", "weather", "")).items() if name != "content"}
    assert read_values(OPENAI, line, CONVERSATION) == {
        "messages": [
            user("Warm?"),
            calling(("call_1", "weather", "{ }")),
            result("call_1", "24"),
            {**again, "weight": 0},
            result("call_2", "25"),
            assistant("Yes."),
        ],
        "tools": [{"type": "function", "function": WEATHER}],
    }
    assert read_line(OPENAI, line, CHATS).ignored == ("function_call",)


def test_ids_of_deprecated_calls_are_none_that_are_there() -> None:
    old = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    messages = [
        user("a"),
        old,
        {"role": "function", "name": "f", "content": "b"},
        calling(("call_1", "f", "{}")),
    ]
    found = read_values(OPENAI, {"messages": messages}, CONVERSATION)["messages"]
    assert [found[1]["tool_calls"][0]["id"], found[2]["tool_call_id"]] == ["call_2", "call_2"]


@pytest.mark.parametrize(
    "names",
    [("preferred_output", "non_preferred_output"), ("preferred_completion", "non_preferred_completion")],
)
def test_preferences_are_read_under_both_names(names: tuple[str, str]) -> None:
    line = {
        "input": {"messages": [user("2 + 2?")], "tools": [], "model": "x"},
        names[0]: [assistant("4")],
        names[1]: [assistant("5")],
        "id": 7,
    }
    item = read_line(OPENAI, line, PREFERENCES)
    assert item.values == {
        "input": '{"messages": [{"role": "user", "content": "2 + 2?"}], "tools": []}',
        "preferred_output": '[{"role": "assistant", "content": "4"}]',
        "non_preferred_output": '[{"role": "assistant", "content": "5"}]',
    }
    assert item.ignored == ("id", "input.model")


def test_completions_are_pairs_or_conversations_of_two_messages() -> None:
    line = {"prompt": "a", "completion": "b", "source": "c"}
    assert read_line(OPENAI, line, PAIRS).ignored == ("source",)
    assert read_values(OPENAI, line, ItemFormat.PROMPT_COMPLETION) == {"question": "a", "answer": "b"}
    chat = {"messages": [user("a"), assistant("b")]}
    assert read_values(OPENAI, line, CONVERSATION) == chat
    assert read_values(OPENAI, chat, ItemFormat.PROMPT_COMPLETION) == {"question": "a", "answer": "b"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({}, "The line has none of `messages`, `input` with `preferred_output` and `non_preferred_output`, or `prompt` with `completion`."),
        ({"messages": "hello"}, "`messages` is not a list."),
        ({"messages": [user("a"), "b"]}, "Message 2 is not an object."),
        ({"messages": [user("a")], "tools": "x"}, "`tools` is a text that is not JSON."),
        ({"messages": [user("a")], "tools": {}}, "`tools` is not a list."),
        ({"messages": [user("a")], "functions": {}}, "`functions` is not a list."),
        ({"messages": [user("a")], "tools": [], "functions": []}, "The line has both `tools` and `functions`."),
        ({"messages": [user("a")], "chosen": "b"}, "The line has both `messages` and `chosen`."),
        ({"messages": [user("a")], "images": ["a.png"]}, "The line has `images`; only texts can be learned."),
        ({"messages": [assistant("a", function_call="f")]}, "Message 1 has a `function_call` that is not an object with `name` and `arguments`."),
        ({"messages": [user("a"), {"role": "function", "name": "f", "content": ""}]}, "Message 2 is the result of a tool, but answers no call before it."),
        ({"messages": [{"role": "function", "content": ""}]}, "Message 1 has the role function and no `name`."),
        ({"prompt": "a", "completion": 1}, "`completion` is not a text."),
        ({"prompt": "a", "completion": "b", "kto_tag": True}, "The line has `kto_tag`: answers that are marked as good or bad one by one cannot be learned, but pairs of a better and a worse answer can."),
        ({"prompt": "a", "completion": "b", "input": {"messages": []}, "preferred_output": [assistant("a")]}, "The line has no `non_preferred_output`."),
        ({"input": {"messages": [user("a")]}, "preferred_output": [], "non_preferred_output": []}, "`preferred_output` is not a list of one message."),
        ({"input": [], "preferred_output": [assistant("a")], "non_preferred_output": [assistant("b")]}, "`input` is not an object with `messages`."),
        ({"input": {"messages": []}, "preferred_output": [assistant("a")], "non_preferred_output": [assistant("b")]}, "The line is a preference pair; each item of the dataset is a conversation."),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_name(line: Any, message: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        read_line(OPENAI, line, CHATS)
    assert refused.value.message == message


def test_a_refusal_has_the_index_of_its_message() -> None:
    with pytest.raises(NotUnderstood) as refused:
        read_line(OPENAI, {"messages": [user("a"), 1]}, CHATS)
    assert refused.value.message_index == 1
