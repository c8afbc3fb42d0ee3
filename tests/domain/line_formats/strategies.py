"""Generated conversations, pairs, and prompts with completions, as OpenAI's lines; and datasets for each."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from domain.conversations import CONVERSATION_FIELDS, PREFERENCE_FIELDS, ItemFormat
from domain.datasets import Dataset
from tests.domain.records import DATASET

Message = dict[str, Any]

PAIRS = DATASET
CHATS = replace(
    DATASET,
    item_format=ItemFormat.CONVERSATION,
    field_names=CONVERSATION_FIELDS,
    input_field="messages",
    output_field="tools",
)
PREFERENCES = replace(
    DATASET,
    item_format=ItemFormat.PREFERENCE,
    field_names=PREFERENCE_FIELDS,
    input_field="input",
    output_field="preferred_output",
)
DATASETS: dict[ItemFormat, Dataset] = {
    dataset.item_format: dataset for dataset in (PAIRS, CHATS, PREFERENCES)
}

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, json_values, max_size=3)
arguments = st.builds(
    lambda value, separators, ensure_ascii: json.dumps(
        value, separators=separators, ensure_ascii=ensure_ascii
    ),
    objects,
    st.sampled_from([(", ", ": "), (",", ":"), (" ,\n", " : ")]),
    st.booleans(),
)


def optional(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that have any of these keys, most of them none."""
    with_keys = st.fixed_dictionaries({}, optional=values)
    return st.one_of(st.just({}), st.just({}), with_keys)


@st.composite
def tools(draw: st.DrawFn) -> list[Any]:
    """Tools of different names."""
    extras = optional(description=texts, parameters=objects, strict=st.booleans())
    functions = [{"name": name} | draw(extras) for name in draw(st.lists(names, unique=True, max_size=2))]
    return [{"type": "function", "function": function} for function in functions]


contents = st.one_of(
    texts,
    texts,
    texts,
    st.lists(texts.map(lambda text: {"type": "text", "text": text}), min_size=1, max_size=2),
)


@st.composite
def assistant_messages(draw: st.DrawFn) -> Message:
    """Assistant messages that call no tool."""
    extras = optional(weight=st.sampled_from([0, 1]), reasoning_content=texts, name=names)
    return {"role": "assistant", "content": draw(contents)} | draw(extras)


@st.composite
def rounds(draw: st.DrawFn, ids: list[str], declared: list[Any]) -> list[Message]:
    """A message that calls tools, and their results; none where no tools are declared."""
    if not declared:
        return []
    called = [
        tool["function"]["name"] for tool in draw(st.lists(st.sampled_from(declared), min_size=1, max_size=2))
    ]
    calls = [
        {"id": ids.pop(0), "type": "function", "function": {"name": name, "arguments": draw(arguments)}}
        for name in called
    ]
    shapes: list[Message] = [{"content": None}, {"content": ""}, {}, {"content": "I look."}]
    content = draw(st.sampled_from(shapes))
    results = [{"role": "tool", "tool_call_id": call["id"], "content": draw(texts)} for call in calls]
    if draw(st.integers(0, 5)) == 0:
        results.reverse()
    return [{"role": "assistant", **content, "tool_calls": calls}, *results]


@st.composite
def conversations(draw: st.DrawFn) -> dict[str, Any]:
    """Conversations that end with an assistant message."""
    declared = draw(st.one_of(st.none(), st.just([]), tools()))
    ids = [f"call_{number}" for number in range(1, 20)]
    if draw(st.booleans()):
        ids = draw(st.lists(names, unique=True, min_size=20, max_size=20))
    roles = draw(st.sampled_from([[], ["system"], ["system"], ["developer"]]))
    messages: list[Message] = [{"role": role, "content": draw(texts)} for role in roles]
    for _ in range(draw(st.integers(1, 2))):
        messages.append({"role": "user", "content": draw(contents)} | draw(optional(name=names)))
        messages += draw(st.one_of(st.just([]), rounds(ids, declared or [])))
        messages.append(draw(assistant_messages()))
    line = {"messages": messages} | draw(optional(parallel_tool_calls=st.one_of(st.none(), st.booleans())))
    return line if declared is None and draw(st.booleans()) else line | {"tools": declared}


@st.composite
def preferences(draw: st.DrawFn) -> dict[str, Any]:
    """Pairs of answers to what a conversation asks."""
    asked = draw(conversations())
    *before, preferred = asked["messages"]
    return {
        "input": asked | {"messages": before},
        "preferred_output": [preferred],
        "non_preferred_output": [draw(assistant_messages())],
    }


pairs = st.fixed_dictionaries({"prompt": texts, "completion": texts})
lines = st.one_of(conversations(), preferences(), pairs)


def without_what_changes_nothing(line: Any) -> Any:
    """A line without what no template renders: nulls, weights of 1, weights of what a pair asks, empty contents of calls."""
    if "input" in line:
        asked = without_what_changes_nothing(line["input"])
        for message in asked["messages"]:
            message.pop("weight", None)
        outputs = {name: [_bare(message) for message in line[name]] for name in PREFERENCE_FIELDS[1:]}
        return {"input": asked} | outputs
    if "messages" not in line:
        return line
    bare = {"messages": [_bare(message) for message in line["messages"]]}
    return bare | ({"tools": line["tools"]} if line.get("tools") else {}) | _parallel(line)


def _parallel(line: dict[str, Any]) -> dict[str, Any]:
    given = line.get("parallel_tool_calls")
    return {} if given is None else {"parallel_tool_calls": given}


def _bare(message: Message) -> Message:
    found = {
        name: value for name, value in message.items() if value is not None and (name, value) != ("weight", 1)
    }
    if found.get("tool_calls") and not found.get("content"):
        found.pop("content", None)
    return found
