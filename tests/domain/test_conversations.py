"""Conversations and preference pairs as items: the rules they are held to, and what is read of them."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation_checks import conversation_faults, preference_faults
from domain.conversations import ItemFormat
from domain.datasets import FIXED_FIELDS, Dataset
from domain.item_problems import Problem, ProblemCode
from domain.items import Item, ItemOrigin, new_item
from domain.json_values import MAX_DEPTH
from domain.texts import estimate_tokens
from tests.conversations import assistant, call, calling, chat, pair, result, system, tool, user
from tests.domain.records import DATASET, NOW

CHATS = replace(DATASET, item_format=ItemFormat.CONVERSATION, **FIXED_FIELDS[ItemFormat.CONVERSATION], seed=7)
PAIRS = replace(DATASET, item_format=ItemFormat.PREFERENCE, **FIXED_FIELDS[ItemFormat.PREFERENCE], seed=7)

VALID = {
    "one turn": chat(user(), assistant()),
    "a system message": chat(system(), user(), assistant()),
    "a developer message": chat({"role": "developer", "content": ""}, user(), assistant()),
    "several turns": chat(user(), assistant(), user("And Rome?"), assistant("Rain.")),
    "a call and its result": chat(user(), calling(), result(), assistant(), tools=[tool()]),
    "a call that is not answered": chat(user(), calling(), tools=[tool()]),
    "parallel calls": chat(
        user(),
        calling(call("a"), call("b", arguments="{}")),
        result("b", name="weather"),
        result("a"),
        assistant(),
        tools=[tool()],
        parallel_tool_calls=True,
    ),
    "a call after a result": chat(user(), calling(), result(), calling(call("b")), tools=[tool()]),
    "ids that are used again": chat(
        user(), calling(), result(), assistant(), user(), calling(), result(), assistant(), tools=[tool()]
    ),
    "parts": chat(user([{"type": "text", "text": "Weather?"}, {"type": "text", "text": ""}]), assistant()),
    "a weight": chat(user(), assistant(weight=0), user(), assistant(weight=1)),
    "null in place of absent keys": chat(
        {"role": "user", "content": "?", "tool_calls": None, "tool_call_id": None, "name": None, "weight": None},
        assistant(tool_calls=[], weight=None, reasoning_content=None, name=None),
    ),
    "reasoning alone": chat(user(), {"role": "assistant", "reasoning_content": "Hm."}),
    "tools of which none is called": chat(user(), assistant(), tools=[tool(), {
        "type": "function", "function": {"name": "now", "description": "The time.", "strict": True},
    }]),
    "a name": chat(user(name="Ann_1-x"), assistant()),
}  # fmt: skip


@pytest.mark.parametrize("name", VALID)
def test_a_conversation_that_can_be_learned_has_no_fault(name: str) -> None:
    assert list(conversation_faults(VALID[name])) == []


ROLES = "the roles are system, developer, user, assistant and tool."
NAME_RULE = "a name has 1 to 64 of the characters a-z, A-Z, 0-9, _ and -."
INVALID: tuple[tuple[dict[str, Any], str], ...] = (
    (chat(), "`messages` is not a list of messages, or an empty one."),
    ({"messages": "hi"}, "`messages` is not a list of messages, or an empty one."),
    ({}, "`messages` is not a list of messages, or an empty one."),
    (chat(user(), "hi"), "Message 2 is not a JSON object."),
    (chat({"content": "hi"}, assistant()), f"Message 1 has no role; {ROLES}"),
    (chat({"role": ["user"], "content": "hi"}, assistant()), f"Message 1 has no role; {ROLES}"),
    (chat(user(), {"role": "bot", "content": "hi"}), f"Message 2 (bot) has the role 'bot'; {ROLES}"),
    (chat(user(), {"role": "function", "content": "hi"}), f"Message 2 (function) has the role 'function'; {ROLES}"),
    (chat(user(), assistant(refusal=None)), "Message 2 (assistant) has the unknown key 'refusal'."),
    (chat(user(weight=1), assistant()), "Message 1 (user) has `weight`, which is for assistant messages alone."),
    (chat(user(tool_calls=[call()]), assistant(), tools=[tool()]),
     "Message 1 (user) has `tool_calls`, which is for assistant messages alone."),
    (chat(user(), assistant(tool_call_id="x")), "Message 2 (assistant) has `tool_call_id`, which is for tool messages alone."),
    (chat(user(reasoning_content="x"), assistant()),
     "Message 1 (user) has `reasoning_content`, which is for assistant messages alone."),
    (chat(user(None), assistant()), "Message 1 (user) has no content."),
    (chat({"role": "user"}, assistant()), "Message 1 (user) has no content."),
    (chat(user(), assistant(None)), "Message 2 (assistant) has no content, no reasoning and no tool call."),
    (chat(user(), assistant(None, tool_calls=[])), "Message 2 (assistant) has no content, no reasoning and no tool call."),
    (chat(user(), calling(), result(content=None), assistant(), tools=[tool()]), "Message 3 (tool) has no content."),
    (chat(user(7), assistant()), "Message 1 (user) has a content that is neither a text nor a list of parts."),
    (chat(user({"text": "x"}), assistant()), "Message 1 (user) has a content that is neither a text nor a list of parts."),
    (chat(user([]), assistant()), "Message 1 (user) has an empty list as its content."),
    (chat(user(["x"]), assistant()), "Message 1 (user): part 1 of the content is not a JSON object."),
    (chat(user([{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://x"}}]), assistant()),
     "Message 1 (user) has an image in its content; only texts can be learned."),
    (chat(user([{"type": "input_audio", "input_audio": {}}]), assistant()),
     "Message 1 (user) has audio in its content; only texts can be learned."),
    (chat(user([{"type": "file", "file": {}}]), assistant()),
     "Message 1 (user) has a file in its content; only texts can be learned."),
    (chat(user([{"type": "poem", "text": "x"}]), assistant()), "Message 1 (user): part 1 of the content is not of the type 'text'."),
    (chat(user([{"text": "x"}]), assistant()), "Message 1 (user): part 1 of the content is not of the type 'text'."),
    (chat(user([{"type": "text"}]), assistant()), "Message 1 (user): part 1 of the content has no text."),
    (chat(user([{"type": "text", "text": "x", "cache": 1}]), assistant()),
     "Message 1 (user): part 1 of the content has the unknown key 'cache'."),
    (chat(user(name="Ann Lee"), assistant()), f"Message 1 (user) has the name 'Ann Lee'; {NAME_RULE}"),
    (chat(user(name="x" * 65), assistant()), f"Message 1 (user) has the name '{'x' * 65}'; {NAME_RULE}"),
    (chat(user(name=7), assistant()), "Message 1 (user) has a `name` that is no text."),
    (chat(user(), assistant(reasoning_content=["x"])), "Message 2 (assistant) has a `reasoning_content` that is no text."),
    (chat(user(), assistant(weight=2)), "Message 2 (assistant) has a `weight` that is neither 0 nor 1."),
    (chat(user(), assistant(weight=True)), "Message 2 (assistant) has a `weight` that is neither 0 nor 1."),
    (chat(user(), assistant(weight=0.5)), "Message 2 (assistant) has a `weight` that is neither 0 nor 1."),
    (chat(user(), assistant(weight=[1])), "Message 2 (assistant) has a `weight` that is neither 0 nor 1."),
    (chat(user(), assistant(tool_calls="x")), "Message 2 (assistant) has `tool_calls` that are no list."),
    (chat(user(), calling("x"), tools=[tool()]), "Message 2 (assistant): tool call 1 is not a JSON object."),
    (chat(user(), calling(call() | {"index": 0}), tools=[tool()]),
     "Message 2 (assistant): tool call 1 has the unknown key 'index'."),
    (chat(user(), calling(call(id="")), tools=[tool()]), "Message 2 (assistant): tool call 1 has no `id`."),
    (chat(user(), calling(call() | {"type": "custom"}), tools=[tool()]),
     "Message 2 (assistant): tool call 1 is not of the type 'function'."),
    (chat(user(), calling({"id": "x", "type": "function"}), tools=[tool()]),
     "Message 2 (assistant): tool call 1 has no `function`, an object with `name` and `arguments`."),
    (chat(user(), calling({"id": "x", "function": {"name": "weather", "arguments": "{}", "x": 1}}), tools=[tool()]),
     "Message 2 (assistant): tool call 1 has the unknown key 'x' in its function."),
    (chat(user(), calling({"id": "x", "function": {"arguments": "{}"}}), tools=[tool()]),
     "Message 2 (assistant): tool call 1 has a function without a name."),
    (chat(user(), calling(call(name="get weather")), tools=[tool()]),
     f"Message 2 (assistant): tool call 1 has a function of the name 'get weather'; {NAME_RULE}"),
    (chat(user(), calling(call(arguments={"city": "Paris"})), tools=[tool()]),
     "Message 2 (assistant): tool call 1 has `arguments` that are not JSON text."),
    (chat(user(), calling(call(), call("b", arguments="{city: 1}")), tools=[tool()]),
     "Message 2 (assistant): tool call 2 has `arguments` whose text is not JSON."),
    (chat(user(), calling(call(arguments="[1]")), tools=[tool()]),
     "Message 2 (assistant): tool call 1 has `arguments` that are not the JSON text of an object."),
    (chat(user(), calling(call(arguments='{"a": NaN}')), tools=[tool()]),
     "Message 2 (assistant): tool call 1 has `arguments` whose text has NaN, which is not JSON."),
    (chat(user(), calling(call(arguments="[" * 100_000)), tools=[tool()]),
     f"Message 2 (assistant): tool call 1 has `arguments` whose text is nested more than {MAX_DEPTH} levels deep."),
    (chat(user(), calling(call(), call()), tools=[tool()]), "Message 2 (assistant) has two tool calls with the id 'call_1'."),
    (chat(user(), calling()), "Message 2 (assistant) calls the tool 'weather', but there are no `tools`."),
    (chat(user(), calling(), tools=[]), "Message 2 (assistant) calls the tool 'weather', but there are no `tools`."),
    (chat(user(), calling(), tools=[tool("time")]),
     "Message 2 (assistant) calls the tool 'weather', which `tools` does not declare."),
    (chat(user(), assistant(), tools={}), "`tools` is not a list."),
    (chat(user(), assistant(), tools=["x"]), "Tool 1 is not a JSON object."),
    (chat(user(), assistant(), tools=[{"type": "web_search"}]), "Tool 1 is not of the type 'function'; others cannot be learned."),
    (chat(user(), assistant(), tools=[{"type": "function"}]), "Tool 1 has no `function`, an object with `name` and `parameters`."),
    (chat(user(), assistant(), tools=[tool(), tool("a.b")]), f"Tool 2 has a function of the name 'a.b'; {NAME_RULE}"),
    (chat(user(), assistant(), tools=[{"type": "function", "function": {}}]), "Tool 1 has a function without a name."),
    (chat(user(), assistant(), tools=[tool(description=1)]), "Tool 1 has a `description` that is no text."),
    (chat(user(), assistant(), tools=[tool(parameters=[])]), "Tool 1 has `parameters` that are not the JSON schema of an object."),
    (chat(user(), assistant(), tools=[tool(parameters={"type": "string"})]),
     "Tool 1 has `parameters` that are not the JSON schema of an object."),
    (chat(user(), assistant(), tools=[tool(parameters={"properties": []})]), "Tool 1 has `properties` that are not an object."),
    (chat(user(), assistant(), tools=[tool(), tool()]), "`tools` declares 'weather' twice."),
    (chat(user(), assistant(), parallel_tool_calls="yes"), "`parallel_tool_calls` is neither true nor false."),
    (chat(user(), system(), assistant()),
     "Message 2 (system) stands behind another; only the first message may be of the role system or developer."),
    (chat(system(), {"role": "developer", "content": "x"}, user(), assistant()),
     "Message 2 (developer) stands behind another; only the first message may be of the role system or developer."),
    (chat(assistant(), user(), assistant()),
     "Message 1 (assistant) has no message before it that it answers; the first is the user's, after a system message."),
    (chat(system(), assistant()),
     "Message 2 (assistant) has no message before it that it answers; the first is the user's, after a system message."),
    (chat(user(), user(), assistant()),
     "Message 2 (user) follows a user message; an assistant message has to stand between them."),
    (chat(user(), assistant(), assistant()), "Message 3 (assistant) follows an assistant message; user and assistant alternate."),
    (chat(user(), calling(), result(), user(), assistant(), tools=[tool()]),
     "Message 4 (user) follows a tool message; an assistant message has to stand between them."),
    (chat(user(), result(), assistant()),
     "Message 2 (tool) answers the call 'call_1', which is not one of the assistant message before it without a result."),
    (chat(user(), calling(), result(), result(), assistant(), tools=[tool()]),
     "Message 4 (tool) answers the call 'call_1', which is not one of the assistant message before it without a result."),
    (chat(user(), calling(), {"role": "tool", "content": "x"}, assistant(), tools=[tool()]),
     "Message 3 (tool) has no `tool_call_id`, the id of the call whose result it is."),
    (chat(user(), calling(), result(7), assistant(), tools=[tool()]), "Message 3 (tool) has a `tool_call_id` that is no text."),
    (chat(user(), calling(), result(name="time"), assistant(), tools=[tool()]),
     "Message 3 (tool) names the tool 'time', but answers a call of 'weather'."),
    (chat(user(), calling(), assistant(), tools=[tool()]),
     "Message 3 (assistant) comes before the result of the call 'call_1' of the tool 'weather'."),
    (chat(user(), calling(call("a"), call("b")), result("a"), assistant(), tools=[tool()]),
     "Message 4 (assistant) comes before the result of the call 'b' of the tool 'weather'."),
    (chat(user(), calling(), user(), assistant(), tools=[tool()]),
     "Message 3 (user) comes before the result of the call 'call_1' of the tool 'weather'."),
    (chat(user(), assistant(), user()), "Message 3 (user) is the last; a conversation ends with an assistant message."),
    (chat(user(), calling(), result(), tools=[tool()]), "Message 3 (tool) is the last; a conversation ends with an assistant message."),
    (chat(system()), "Message 1 (system) is the last; a conversation ends with an assistant message."),
    (chat(user(), assistant(weight=0), user(), assistant(weight=0)),
     "Message 4 (assistant) is not learned, nor is any other assistant message: all have the weight 0."),
)  # fmt: skip


@pytest.mark.parametrize(("conversation", "fault"), INVALID, ids=[fault for _, fault in INVALID])
def test_a_conversation_that_breaks_a_rule_has_a_sentence_with_the_message(
    conversation: dict[str, Any], fault: str
) -> None:
    assert next(conversation_faults(conversation)) == fault


VALID_PAIRS = {
    "one turn": pair(),
    "several turns": pair(system(), user(), assistant(weight=0), user()),
    "an input that ends with a result": pair(user(), calling(), result(), tools=[tool()]),
    "a call in place of a text": pair(preferred=calling(), tools=[tool()]),
    "an empty answer that is worse": pair(other=assistant("")),
}


@pytest.mark.parametrize("name", VALID_PAIRS)
def test_a_pair_that_can_be_learned_has_no_fault(name: str) -> None:
    assert list(preference_faults(VALID_PAIRS[name])) == []


INVALID_PAIRS: tuple[tuple[dict[str, Any], str], ...] = (
    (pair() | {"input": "hi"}, "`input` is not a JSON object with `messages`."),
    (pair() | {"input": chat()}, "`messages` of `input` is not a list of messages, or an empty one."),
    (pair() | {"input": chat(user(), metadata={})}, "`input` has the unknown key 'metadata'."),
    (pair(user(), assistant(), user([])), "Message 3 (user) of `input` has an empty list as its content."),
    (pair(user(), user()), "Message 2 (user) of `input` follows a user message; an assistant message has to stand between them."),
    (pair(user(), assistant()), "Message 2 (assistant) of `input` is the last; the input ends with a user or tool message."),
    (pair(user(), calling(call("a"), call("b")), result("a"), tools=[tool()]),
     "Message 3 (tool) of `input` is the last, but the call 'b' of the tool 'weather' has no result."),
    (pair() | {"preferred_output": assistant()}, "`preferred_output` is not a list of one assistant message."),
    (pair() | {"non_preferred_output": []}, "`non_preferred_output` is not a list of one assistant message."),
    (pair() | {"preferred_output": [assistant(), assistant()]}, "`preferred_output` is not a list of one assistant message."),
    (pair(preferred=user()), "Message 1 (user) of `preferred_output` is not an assistant message."),
    (pair(preferred=assistant(x=1)), "Message 1 (assistant) of `preferred_output` has the unknown key 'x'."),
    (pair(other=assistant(weight=0)),
     "Message 1 (assistant) of `non_preferred_output` has the weight 0, so that nothing would be learned from the pair."),
    (pair(other=calling(), tools=[tool("time")]),
     "Message 1 (assistant) of `non_preferred_output` calls the tool 'weather', which `tools` does not declare."),
    (pair(preferred=assistant("A"), other=assistant([{"type": "text", "text": "A"}])),
     "Message 1 (assistant) of `preferred_output` is the same as that of `non_preferred_output`."),
)  # fmt: skip


@pytest.mark.parametrize(("preference", "fault"), INVALID_PAIRS, ids=[fault for _, fault in INVALID_PAIRS])
def test_a_pair_that_breaks_a_rule_has_a_sentence_with_the_message(
    preference: dict[str, Any], fault: str
) -> None:
    assert next(preference_faults(preference)) == fault


KEYS = st.sampled_from(
    ["role", "content", "tool_calls", "function", "name", "arguments", "id", "type", "weight", "text", "tools",
     "messages", "tool_call_id", "parameters", "properties", "reasoning_content", "x"]
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3) | st.sampled_from(["user", "assistant", "tool", "system", "text", "function", "{}"])
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": st.text(max_size=3) | JSON},
    optional={
        "tool_calls": st.lists(JSON, max_size=2),
        "tool_call_id": LEAVES,
        "weight": LEAVES,
        "name": LEAVES,
    },
)
CONVERSATIONS = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGES, max_size=5) | JSON}, optional={"tools": JSON}
)


def item_of(dataset: Dataset, found: dict[str, Any], **keys: Any) -> Item:
    values = {name: json.dumps(value) for name, value in found.items()} | keys
    return new_item(dataset, values, key="k", position=0, origin=ItemOrigin.UPLOADED, now=NOW)


@given(CONVERSATIONS, JSON, JSON)
def test_any_json_is_checked_and_shown_without_an_exception(asked: Any, preferred: Any, other: Any) -> None:
    chats = item_of(CHATS, asked)
    pairs = item_of(PAIRS, {"input": asked, "preferred_output": preferred, "non_preferred_output": other})
    for dataset, item in ((CHATS, chats), (PAIRS, pairs)):
        try:
            shown = dataset.conversation_of(item.values) or dataset.preference_of(item.values)
        except ValueError:
            shown = None
        assert shown is not None or not item.is_valid


@given(st.text(max_size=50) | st.text(alphabet='[]{}":,\\u0d8', max_size=50))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    for dataset in (CHATS, PAIRS):
        item = new_item(
            dataset,
            dict.fromkeys(dataset.field_names, text),
            key="k",
            position=0,
            origin=ItemOrigin.UPLOADED,
            now=NOW,
        )
        assert not item.is_valid


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ("[", "is not JSON."),
        ("[" * 100_000, f"is nested more than {MAX_DEPTH} levels deep."),
        ('[{"role": "user", "role": "user"}]', "names 'role' twice."),
        ('[{"role": "user", "content": "\\ud800"}]', "contains half of a surrogate pair."),
        ('[{"role": "user", "content": "a\\u0000"}]', "contains a NUL character."),
        ("[1e999]", "has the number 1e999, which is too large."),
        ("[" + "9" * 5000 + "]", "has a number of 5,000 digits, which is too large."),
    ],
)
def test_a_value_that_is_not_json_is_an_invalid_conversation(messages: str, fault: str) -> None:
    item = item_of(CHATS, {}, messages=messages)
    assert item.problems == (Problem(ProblemCode.CONVERSATION_INVALID, f"The field 'messages' {fault}"),)
    with pytest.raises(ValueError, match=r"."):
        CHATS.conversation_of(item.values)


def problems(item: Item) -> list[tuple[ProblemCode, str]]:
    return [(problem.code, problem.message) for problem in item.problems]


def test_what_is_missing_is_named() -> None:
    assert problems(item_of(CHATS, {})) == [(ProblemCode.FIELD_MISSING, "The field 'messages' is empty.")]
    assert problems(item_of(PAIRS, {"preferred_output": [assistant()]})) == [
        (ProblemCode.FIELD_MISSING, "The field 'input' is empty."),
        (ProblemCode.FIELD_MISSING, "The field 'non_preferred_output' is empty."),
    ]
    assert problems(item_of(CHATS, chat(user(), assistant(" "), user(), assistant("Hi", weight=0)))) == [
        (ProblemCode.FIELD_MISSING, "No assistant message to learn from has a text or a tool call.")
    ]
    assert problems(item_of(PAIRS, pair(preferred=assistant("")))) == [
        (ProblemCode.FIELD_MISSING, "The preferred output has neither a text nor a tool call.")
    ]
    assert item_of(CHATS, chat(user(), assistant(""), user(), calling(), tools=[tool()])).is_valid


def test_of_many_faults_five_are_named() -> None:
    item = item_of(CHATS, chat(*[user(x=1)] * 9))
    assert [problem.message[:16] for problem in item.problems] == [
        f"Message {number} (user)" for number in (1, 2, 3, 4, 5)
    ]


CONTROL = (ProblemCode.CONTROL_TOKENS,)
SPELLED = "spells the control token '<|im_end|>', which is learned as text."


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (chat(user("a <|im_end|> b"), assistant()), "Message 1 (user)"),
        (chat(user(), assistant([{"type": "text", "text": "<|im_end|>"}])), "Message 2 (assistant)"),
        (chat(user(), assistant(reasoning_content="<|im_end|>")), "Message 2 (assistant)"),
        (
            chat(user(), calling(call(arguments='{"a": "<|im_end|>"}')), tools=[tool()]),
            "Message 2 (assistant)",
        ),
        (
            chat(user(), calling(call(arguments='{"a": "\\u003c|im_end|>"}')), tools=[tool()]),
            "Message 2 (assistant)",
        ),
        (chat(user(), assistant(), tools=[tool(description="<|im_end|>")]), "`tools`"),
    ],
)
def test_a_message_that_spells_a_control_token_is_a_warning(found: dict[str, Any], what: str) -> None:
    item = item_of(CHATS, found)
    assert item.problems == (Problem(ProblemCode.CONTROL_TOKENS, f"{what} {SPELLED}", is_warning=True),)
    assert item.is_valid


def test_a_pair_that_spells_control_tokens_names_each_place() -> None:
    token = "<|im_end|>"
    item = item_of(PAIRS, pair(user(token), preferred=assistant(token), tools=[tool(description=token)]))
    assert [problem.message for problem in item.problems] == [
        f"Message 1 (user) of `input` {SPELLED}",
        f"`tools` of `input` {SPELLED}",
        f"Message 1 (assistant) of `preferred_output` {SPELLED}",
    ]


def test_a_prompt_that_spells_a_control_token_is_a_warning() -> None:
    values = {"question": "What does <|im_end|> do?", "answer": "It ends </think> a turn."}
    item = new_item(DATASET, values, key="k", position=0, origin=ItemOrigin.UPLOADED, now=NOW)
    assert item.is_valid
    assert [problem.message for problem in item.problems] == [
        f"The field 'question' {SPELLED}",
        "The field 'answer' spells the control token '</think>', which is learned as text.",
    ]


def test_the_order_of_keys_does_not_matter_to_what_an_item_equals() -> None:
    found = chat(user(), calling(), result(), assistant(), tools=[tool()])
    reordered = json.loads(json.dumps(found, sort_keys=True))
    assert json.dumps(found) != json.dumps(reordered)
    one, two = item_of(CHATS, found), item_of(CHATS, reordered)
    assert one.values != two.values
    for name in ("digest", "input_fingerprint", "output_fingerprint", "fingerprint", "score"):
        assert getattr(one, name) == getattr(two, name)


CHANGED = {
    "another text": chat(system(), user(), assistant("Rain.")),
    "another role": chat(
        {"role": "developer", "content": "Be brief."}, user(), assistant()
    ),
    "a weight": chat(system(), user("a"), assistant("b", weight=0), user("c"), assistant()),
    "tools": chat(system(), user(), assistant(), tools=[tool()]),
    "a call": chat(system(), user(), assistant(tool_calls=[call()])),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_conversations_that_differ_are_no_duplicates(name: str) -> None:
    plain = chat(system(), user("a"), assistant("b"), user("c"), assistant())
    first = item_of(CHATS, plain if name == "a weight" else chat(system(), user(), assistant()))
    second = item_of(CHATS, CHANGED[name])
    assert first.digest != second.digest
    assert (first.input_fingerprint, first.output_fingerprint) != (
        second.input_fingerprint,
        second.output_fingerprint,
    )


def test_case_and_spacing_make_a_near_duplicate() -> None:
    first = item_of(CHATS, chat(system(), user("Weather in Paris?"), assistant("Sunny.")))
    second = item_of(CHATS, chat(system(), user(" weather  in PARIS? "), assistant("sunny.")))
    assert first.fingerprint == second.fingerprint
    assert first.input_fingerprint != second.input_fingerprint


def test_the_split_goes_by_all_up_to_the_first_answer() -> None:
    score = item_of(CHATS, chat(system(), user(), assistant())).score
    assert item_of(CHATS, chat(system(), user(), assistant("Rain."), user("?"), assistant())).score == score
    assert item_of(CHATS, chat(system(), user(), calling(), tools=[tool()])).score == score
    assert item_of(CHATS, chat(system("Be long."), user(), assistant())).score != score
    assert item_of(CHATS, chat(system(), user("?"), assistant())).score != score


def test_the_split_of_a_pair_goes_by_its_input() -> None:
    score = item_of(PAIRS, pair(user(), assistant(), user("?"))).score
    assert item_of(PAIRS, pair(user(), assistant(), user("?"), other=assistant("No."))).score == score
    assert item_of(PAIRS, pair(user(), assistant("No."), user("?"))).score != score


def test_the_same_history_with_another_last_answer_contradicts() -> None:
    first = item_of(CHATS, chat(user(), assistant("a"), user("b"), assistant("c")))
    second = item_of(CHATS, chat(user(), assistant("a"), user("b"), assistant("d")))
    third = item_of(CHATS, chat(user(), assistant("x"), user("b"), assistant("d")))
    assert first.input_fingerprint == second.input_fingerprint != third.input_fingerprint
    assert first.output_fingerprint != second.output_fingerprint == third.output_fingerprint


def test_pairs_contradict_each_other_where_they_prefer_the_opposite() -> None:
    first = item_of(PAIRS, pair(preferred=assistant("a"), other=assistant("B")))
    opposite = item_of(PAIRS, pair(preferred=assistant("B"), other=assistant("a")))
    ranked = item_of(PAIRS, pair(preferred=assistant("a"), other=assistant("c")))
    assert first.input_fingerprint == opposite.input_fingerprint != ranked.input_fingerprint
    assert first.output_fingerprint != opposite.output_fingerprint


def test_tokens_are_counted_over_all_messages_and_tools() -> None:
    found = chat(
        system("four"), user("one two"), calling(reasoning_content="five"), result(content="six"), assistant()
    )
    tools = json.dumps([tool()])
    texts = ["four", "one two", "five", "weather", '{"city": "Paris"}', "six", "Sunny."]
    assert item_of(CHATS, found).token_count == sum(map(estimate_tokens, texts))
    assert item_of(CHATS, found, tools=tools).token_count == sum(map(estimate_tokens, [*texts, tools]))
    better = item_of(PAIRS, pair(user("one"), preferred=assistant("two three"), other=assistant("four")))
    worse = item_of(PAIRS, pair(user("one"), preferred=assistant("four"), other=assistant("two three")))
    assert better.token_count == worse.token_count == 3


def test_the_size_of_an_output_is_that_of_the_texts_that_are_learned() -> None:
    expecting = replace(CHATS, expected_output_size_chars=10)
    for answers, code in (
        ((5, 6), None),
        ((1, 1), ProblemCode.OUTPUT_TOO_SHORT),
        ((30, 11), ProblemCode.OUTPUT_TOO_LONG),
    ):
        first, second = ("x" * size for size in answers)
        item = item_of(
            expecting,
            chat(
                user("?" * 99),
                assistant(first),
                user(),
                assistant(second),
                user(),
                assistant("y" * 99, weight=0),
            ),
        )
        assert [problem.code for problem in item.problems] == ([code] if code else [])
    pairs = replace(PAIRS, expected_output_size_chars=10)
    assert item_of(pairs, pair(preferred=assistant("x" * 10), other=assistant("y" * 99))).is_valid
    assert not item_of(pairs, pair(preferred=assistant("x" * 99), other=assistant("y" * 10))).is_valid


def test_what_is_searched_are_the_texts_of_messages() -> None:
    found = chat(
        system(),
        user([{"type": "text", "text": 'Straße "quoted"\nline'}]),
        calling(call(arguments='{"city": "K\\u00f6ln", "days": 3}'), reasoning_content="Hm."),
        result(content="rain"),
        assistant("Rain."),
        tools=[tool()],
    )
    assert item_of(CHATS, found).search_text == (
        'Be brief.\nStraße "quoted"\nline\nHm.\nweather\nKöln\n3\nrain\nRain.'
    )
    assert item_of(PAIRS, pair()).search_text == "Weather in Paris?\nSunny.\nWho knows."
    assert item_of(CHATS, {}, messages="no JSON").search_text is None
