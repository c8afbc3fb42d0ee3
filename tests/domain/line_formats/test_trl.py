"""TRL's lines: conversations, prompts with completions, and pairs with and without a prompt of their own."""

from typing import Any

import pytest

from domain.conversations import ItemFormat
from domain.import_formats import ImportFormat
from domain.line_formats.conversion import read_line
from domain.line_formats.lines import CannotHold, NotUnderstood
from domain.line_formats.trl import write
from tests.domain.line_formats.reading import assistant, calling, read_values, result, system, user
from tests.domain.line_formats.strategies import CHATS, PREFERENCES

TRL = ImportFormat.TRL
PAIR, CONVERSATION, PREFERENCE = ItemFormat.PROMPT_COMPLETION, ItemFormat.CONVERSATION, ItemFormat.PREFERENCE
TOOL = {"type": "function", "function": {"name": "weather"}}
NO_PROMPT = (
    "The line is preference data without a prompt: `chosen` and `rejected` are one message each, or differ in more "
    "than the last one."
)
SKY = {
    "input": {"messages": [user("What color is the sky?")]},
    "preferred_output": [assistant("Blue.")],
    "non_preferred_output": [assistant("Green.")],
}


def test_tool_calls_get_ids_and_their_arguments_are_texts() -> None:
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Lima", "days": 1}}}
    line = {
        "messages": [
            user("Warm?"),
            {"role": "assistant", "tool_calls": [call, {"function": {"name": "time", "arguments": "{}"}}]},
            {"role": "tool", "name": "time", "content": "12"},
            {"role": "tool", "name": "weather", "content": "24"},
            assistant("Yes."),
        ],
        "tools": [TOOL],
        "chat_template_kwargs": {"enable_thinking": False},
    }
    calls = calling(("call_1", "weather", '{"city": "Lima", "days": 1}'), ("call_2", "time", "{}"))
    del calls["content"]
    assert read_values(TRL, line, CONVERSATION) == {
        "messages": [
            user("Warm?"),
            calls,
            result("call_2", "12", name="time"),
            result("call_1", "24", name="weather"),
            assistant("Yes."),
        ],
        "tools": [TOOL],
    }
    assert read_line(TRL, line, CHATS).ignored == ("chat_template_kwargs",)


def test_arguments_are_written_as_objects_where_they_come_back_the_same() -> None:
    messages = [user("?"), calling(("a", "f", '{"b": 1}'), ("c", "f", '{"b":1}'), ("d", "f", ""))]
    calls = write({"messages": messages})["messages"][1]["tool_calls"]
    assert [call["function"]["arguments"] for call in calls] == [{"b": 1}, '{"b":1}', ""]


def test_only_the_completion_is_learned() -> None:
    line = {
        "prompt": [system("Be brief."), user("a"), assistant("b"), user("c")],
        "completion": [assistant("d"), user("e"), assistant("f")],
    }
    found = read_values(TRL, line, CONVERSATION)
    first = [system("Be brief."), user("a"), assistant("b", weight=0), user("c")]
    assert found == {"messages": [*first, *line["completion"]]}
    assert write(found) == line


def test_a_prompt_with_its_completion_may_be_texts() -> None:
    line = {"prompt": "The sky is", "completion": " blue."}
    assert read_values(TRL, line, PAIR) == {"question": "The sky is", "answer": " blue."}
    assert read_values(TRL, line, CONVERSATION) == {"messages": [user("The sky is"), assistant(" blue.")]}
    lists = {"prompt": [user("a")], "completion": [assistant("b")]}
    assert read_values(TRL, lists, PAIR) == {"question": "a", "answer": "b"}
    assert write({"prompt": "a", "completion": "b"}) == lists


def test_a_prompt_beside_messages_is_left_out() -> None:
    line = {"prompt": "a", "messages": [user("a"), assistant("b")]}
    assert read_values(TRL, line, CONVERSATION) == {"messages": line["messages"]}
    assert read_line(TRL, line, CHATS).ignored == ("prompt",)


@pytest.mark.parametrize(
    "line",
    [
        {"prompt": "What color is the sky?", "chosen": "Blue.", "rejected": "Green."},
        {"prompt": [user("What color is the sky?")], "chosen": [assistant("Blue.")], "rejected": [assistant("Green.")]},
        {"chosen": [user("What color is the sky?"), assistant("Blue.")], "rejected": [user("What color is the sky?"), assistant("Green.")]},
        {"prompt": "What color is the sky?", "chosen": [user("What color is the sky?"), assistant("Blue.")], "rejected": [user("What color is the sky?"), assistant("Green.")]},
    ],
)  # fmt: skip
def test_pairs_may_have_their_prompt_in_three_places(line: dict[str, Any]) -> None:
    assert read_values(TRL, line, PREFERENCE) == SKY
    assert read_line(TRL, line | {"messages": [], "score_chosen": 9.0}, PREFERENCES).ignored == (
        "messages",
        "score_chosen",
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"chosen": "good", "rejected": "bad"}, NO_PROMPT),
        ({"question": "a", "chosen": "good", "rejected": "bad"}, NO_PROMPT),
        ({"chosen": [user("a"), assistant("b")], "rejected": [user("c"), assistant("d")]}, NO_PROMPT),
        ({"prompt": "x", "chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant("c")]}, "`prompt` is not what `chosen` and `rejected` begin with."),
        ({"prompt": "a", "chosen": "b"}, "The line has no `rejected`."),
        ({"prompt": "a", "chosen": "b", "rejected": None}, "`rejected` is not a list of messages."),
        ({"prompt": "a", "completion": "b", "label": True}, "The line has `label`: answers that are marked as good or bad one by one cannot be learned, but pairs of a better and a worse answer can."),
        ({"prompt": [user("a")]}, "The line has no `completion`."),
        ({"prompt": "a", "completion": [assistant("b")]}, "`prompt` is not a list of messages."),
        ({"messages": []}, "`messages` is not a list of messages."),
        ({"messages": [user("a"), 1]}, "Message 2 is not an object."),
        ({"messages": [user("a"), {"role": "tool", "content": "b"}]}, "Message 2 is the result of a tool, but answers no call before it."),
        ({"messages": [user("a"), assistant("b")], "tools": "c"}, "`tools` is a text that is not JSON."),
        ({"text": "a"}, "The line has no `messages`."),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_name(line: Any, message: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        read_line(TRL, line, CHATS)
    assert refused.value.message == message


UNLEARNED = assistant("b", weight=0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"messages": [user("a"), assistant("b")], "parallel_tool_calls": True}, "it has `parallel_tool_calls`"),
        ({"messages": [user("a"), UNLEARNED]}, "message 2 has the weight 0 and is not before all that are learned"),
        ({"messages": [user("a"), assistant("b"), user("c"), UNLEARNED]}, "message 4 has the weight 0 and is not before all that are learned"),
        ({**SKY, "preferred_output": [UNLEARNED]}, "an answer of the pair has the weight 0"),
    ],
)  # fmt: skip
def test_what_it_cannot_hold_is_said(line: Any, reason: str) -> None:
    with pytest.raises(CannotHold) as refused:
        write(line)
    assert refused.value.message == reason
