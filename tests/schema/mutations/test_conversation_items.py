"""Conversations and preference pairs as items over GraphQL: datasets of each format, reading, correcting, counting."""

import json
from typing import Any

import pytest

from domain.conversations import ItemFormat
from domain.services import Services
from tests.clients import Api
from tests.conftest import Worker
from tests.conversations import (
    as_value,
    assistant,
    call,
    calling,
    chat,
    new_dataset,
    pair,
    result,
    system,
    tool,
    user,
)
from tests.finetuning import new_dataset as new_pairs_of_texts
from tests.importing import QA, fetch_dataset, imported_dataset, items
from tests.jobs import new_project

pytestmark = pytest.mark.anyio

CHATS = ItemFormat.CONVERSATION
PAIRS = ItemFormat.PREFERENCE
FORMAT = "itemFormat systemPrompt inputField outputField fieldNames"
MESSAGE = (
    """role content contentParts name toolCalls { id name arguments } toolCallId reasoningContent weight"""
)
CONVERSATION = f"conversation {{ messages {{ {MESSAGE} }} tools parallelToolCalls }}"
PREFERENCE = f"""preference {{ input {{ messages {{ {MESSAGE} }} tools }} preferred {{ {MESSAGE} }}
  nonPreferred {{ {MESSAGE} }} }}"""
STATS = "total valid invalid deleted corrected avgTokenCount problems { code count }"
FIXED = {
    CHATS: {
        "itemFormat": "CONVERSATION", "inputField": "messages", "outputField": "messages",
        "fieldNames": ["messages", "tools", "parallel_tool_calls"],
    },
    PAIRS: {
        "itemFormat": "PREFERENCE", "inputField": "input", "outputField": "preferred_output",
        "fieldNames": ["input", "preferred_output", "non_preferred_output"],
    },
}  # fmt: skip


def shown(role: str, content: str | None, **keys: Any) -> dict[str, Any]:
    """A message as the API shows it."""
    absent: dict[str, Any] = {"contentParts": None, "name": None, "toolCalls": [], "toolCallId": None}
    return absent | {"role": role, "content": content, "reasoningContent": None, "weight": None, **keys}


@pytest.mark.parametrize("item_format", FIXED)
async def test_the_fields_of_conversations_and_pairs_are_fixed(api: Api, item_format: ItemFormat) -> None:
    project_id, fixed = await new_project(api), FIXED[item_format]
    created = await api.mutate(
        "createDataset",
        f"dataset {{ {FORMAT} }}",
        projectId=project_id,
        itemFormat=item_format,
        systemPrompt="Be kind.",
    )
    assert created["dataset"] == {"systemPrompt": "Be kind.", **fixed}
    created = await api.mutate("createDataset", f"dataset {{ id {FORMAT} }}", projectId=project_id, **fixed)
    assert created["dataset"] | {"id": ""} == {"id": "", "systemPrompt": None, **fixed}
    for others in ({"inputField": "question"}, {"outputField": "a"}, {"fieldNames": ["messages"]}, QA):
        error = await api.refused("createDataset", projectId=project_id, itemFormat=item_format, **others)
        assert (error["code"], error["reason"]) == ("INVALID", "FIXED_FIELDS")
        assert error["field"] == [next(iter(others))]
    error = await api.refused("updateDataset", id=created["dataset"]["id"], outputField="tools")
    names = ", ".join(fixed["fieldNames"])
    assert error["message"] == (
        f"Items of the format {item_format} always have the fields {names}: `inputField` is {fixed['inputField']} and "
        f"`outputField` {fixed['outputField']}. Leave the three out."
    )


async def test_pairs_of_texts_need_their_fields(api: Api) -> None:
    project_id = await new_project(api)
    created = await api.mutate("createDataset", f"dataset {{ {FORMAT} }}", projectId=project_id, **QA)
    assert created["dataset"] == {"itemFormat": "PROMPT_COMPLETION", "systemPrompt": None, **QA}
    for name in QA:
        given = {key: value for key, value in QA.items() if key != name}
        for absent in (given, {**given, name: None}):
            error = await api.refused("createDataset", projectId=project_id, **absent)
            assert (error["reason"], error["field"], error["message"]) == (
                "REQUIRED", [name], f"`{name}` is needed for items of the format PROMPT_COMPLETION.",
            )  # fmt: skip


async def test_the_system_prompt_changes_while_the_dataset_is_planning(api: Api, services: Services) -> None:
    project_id = await new_project(api)
    created = await api.mutate(
        "createDataset", "dataset { id }", projectId=project_id, systemPrompt="a", **QA
    )
    id = created["dataset"]["id"]
    for prompt in ("b", None):
        changed = await api.mutate("updateDataset", "dataset { systemPrompt }", id=id, systemPrompt=prompt)
        assert changed["dataset"] == {"systemPrompt": prompt}
    error = await api.refused("updateDataset", id=id, systemPrompt="a\x00")
    assert (error["reason"], error["field"]) == ("INVALID_TEXT", ["systemPrompt"])
    done = await new_dataset(services, api, CHATS, [chat(user(), assistant())])
    error = await api.refused("updateDataset", id=done, systemPrompt="c")
    assert (error["code"], error["reason"], error["field"]) == (
        "CONFLICT", "DATASET_NOT_PLANNING", ["systemPrompt"],
    )  # fmt: skip


async def test_a_conversation_is_shown_typed(api: Api, services: Services) -> None:
    parts = [{"type": "text", "text": "Weather"}, {"type": "text", "text": "?"}]
    tools = [
        tool(parameters={"type": "object", "properties": {"z": {"maximum": 2**70}, "a": {"minimum": 0.5}}})
    ]
    found = chat(
        system("Be brief."),
        user(parts, name="Ann"),
        calling(call("a"), call("b", arguments='{ "x":1 }'), reasoning_content="Hm.", weight=0),
        result("a"),
        result("b", ""),
        assistant("Sunny.", weight=1),
        tools=tools,
        parallel_tool_calls=False,
    )
    dataset_id = await new_dataset(services, api, CHATS, [found])
    item = (await items(api, dataset_id, f"isValid values data {CONVERSATION} {PREFERENCE}"))[0]
    assert item["isValid"]
    assert item["values"] == [
        json.dumps(found[name]) for name in ("messages", "tools", "parallel_tool_calls")
    ]
    assert item["data"] == dict(zip(found, item["values"], strict=True))
    assert item["preference"] is None
    assert item["conversation"] == {
        "messages": [
            shown("SYSTEM", "Be brief."),
            shown("USER", None, contentParts=parts, name="Ann"),
            shown("ASSISTANT", None, reasoningContent="Hm.", weight=0, toolCalls=[
                {"id": "a", "name": "weather", "arguments": '{"city": "Paris"}'},
                {"id": "b", "name": "weather", "arguments": '{ "x":1 }'},
            ]),
            shown("TOOL", "sunny", toolCallId="a"),
            shown("TOOL", "", toolCallId="b"),
            shown("ASSISTANT", "Sunny.", weight=1),
        ],
        "tools": tools,
        "parallelToolCalls": False,
    }  # fmt: skip
    assert list(item["conversation"]["tools"][0]["function"]["parameters"]["properties"]) == ["z", "a"]


async def test_a_pair_and_a_prompt_are_shown_typed(api: Api, services: Services) -> None:
    found = pair(user(), preferred=calling(), other=assistant("No."), tools=[tool()])
    dataset_id = await new_dataset(services, api, PAIRS, [found])
    item = (await items(api, dataset_id, f"isValid {CONVERSATION} {PREFERENCE}"))[0]
    calls = [{"id": "call_1", "name": "weather", "arguments": '{"city": "Paris"}'}]
    assert item == {
        "isValid": True,
        "conversation": None,
        "preference": {
            "input": {"messages": [shown("USER", "Weather in Paris?")], "tools": [tool()]},
            "preferred": shown("ASSISTANT", None, toolCalls=calls),
            "nonPreferred": shown("ASSISTANT", "No."),
        },
    }
    texts_id = await new_pairs_of_texts(services, api, await new_project(api), [("Capital of Peru?", "Lima")])
    assert await items(api, texts_id, f"{CONVERSATION} preference {{ preferred {{ role }} }}") == [
        {
            "conversation": {
                "messages": [shown("USER", "Capital of Peru?"), shown("ASSISTANT", "Lima")],
                "tools": None,
                "parallelToolCalls": None,
            },
            "preference": None,
        }
    ]


async def test_what_is_no_conversation_is_not_shown_as_one(api: Api, services: Services) -> None:
    broken = [
        {"messages": "hello"},
        chat({"role": "bot", "content": ""}),
        {"messages": "[" * 5000},
        {"tools": "[]"},
    ]
    broken += [{"messages": '[{"role": "user", "content": "\\udc00"}]'}]
    dataset_id = await new_dataset(services, api, CHATS, [*broken, chat(user(), user())])
    *unread, readable = await items(api, dataset_id, "isValid conversation { messages { content } }")
    assert unread == [{"isValid": False, "conversation": None}] * len(broken)
    assert readable == {
        "isValid": False,
        "conversation": {"messages": [{"content": "Weather in Paris?"}] * 2},
    }
    pairs_id = await new_dataset(
        services, api, PAIRS, [pair() | {"input": "{}"}, pair() | {"preferred_output": []}]
    )
    assert (
        await items(api, pairs_id, "isValid preference { preferred { role } }")
        == [{"isValid": False, "preference": None}] * 2
    )


async def test_items_are_listed_filtered_and_counted_by_what_is_wrong(api: Api, services: Services) -> None:
    found = [
        chat(user("one"), assistant("two")),
        chat(user("one"), assistant([{"text": "two", "type": "text"}])),
        chat(user("One"), assistant("TWO")),
        chat(user("one"), assistant("three")),
        chat(user("four")),
        chat(user("five"), assistant("<|im_end|>")),
        {"messages": ""},
    ]
    dataset_id = await new_dataset(services, api, CHATS, found)
    listed = await items(api, dataset_id, "problems { code message isWarning }")
    assert [[problem["code"] for problem in item["problems"]] for item in listed] == [
        ["CONTRADICTION"], ["DUPLICATE"], ["NEAR_DUPLICATE"], ["CONTRADICTION"], ["CONVERSATION_INVALID"],
        ["CONTROL_TOKENS"], ["FIELD_MISSING"],
    ]  # fmt: skip
    assert listed[4]["problems"][0]["message"] == (
        "Message 1 (user) is the last; a conversation ends with an assistant message."
    )
    for code in ("CONVERSATION_INVALID", "CONTROL_TOKENS"):
        assert len(await items(api, dataset_id, problem=code)) == 1
    assert len(await items(api, dataset_id, isValid=True)) == 4
    dataset = await fetch_dataset(api, dataset_id, f"stats {{ {STATS} }} dataItemsSample(first: 1)")
    assert dataset["dataItemsSample"] == [[as_value(found[0]["messages"]), "", ""]]
    counts = {problem["code"]: problem["count"] for problem in dataset["stats"]["problems"]}
    assert counts == {
        "FIELD_MISSING": 1, "DUPLICATE": 1, "NEAR_DUPLICATE": 1, "CONTRADICTION": 2, "CONVERSATION_INVALID": 1,
        "CONTROL_TOKENS": 1,
    }  # fmt: skip
    assert (dataset["stats"]["valid"], dataset["stats"]["invalid"]) == (4, 3)


async def test_pairs_that_prefer_the_opposite_contradict(api: Api, services: Services) -> None:
    one, two, three = map(assistant, ("a", "b", "c"))
    found = [
        pair(preferred=better, other=worse)
        for better, worse in ((one, two), (two, one), (one, three), (one, two))
    ]
    dataset_id = await new_dataset(services, api, PAIRS, found)
    listed = await items(api, dataset_id, "isValid problems { code }")
    assert [[problem["code"] for problem in item["problems"]] for item in listed] == [
        ["CONTRADICTION"], ["CONTRADICTION"], [], ["DUPLICATE"],
    ]  # fmt: skip


async def test_a_search_finds_what_messages_say(api: Api, services: Services) -> None:
    found = [
        chat(user('In "Köln"\nor\\Bonn?'), assistant("Yes"), tools=[tool()]),
        chat(
            user(),
            calling(call(arguments='{"town": "M\\u00fcnchen"}'), reasoning_content="Hm"),
            tools=[tool()],
        ),
        {"messages": "broken role"},
    ]
    dataset_id = await new_dataset(services, api, CHATS, found)
    for text, expected in (
        ("köln", [0]), ('"Köln"\nor\\B', [0]), ("MÜNCHEN", [1]), ("hm", [1]), ("weather", [1]), ("role", [2]),
        ("town", []), ("content", []), ("\\n", []), ("u00fc", []), ("parameters", []),
    ):  # fmt: skip
        ids = [item["id"] for item in await items(api, dataset_id)]
        hits = [ids.index(item["id"]) for item in await items(api, dataset_id, search=text)]
        assert hits == expected, text
    pairs_id = await new_dataset(services, api, PAIRS, [pair(other=assistant("Wer weiß?"))])
    assert len(await items(api, pairs_id, search="weiß")) == 1
    assert await items(api, pairs_id, search="preferred") == []


async def test_conversations_are_deleted_and_restored_by_what_they_say(api: Api, services: Services) -> None:
    found = [chat(user("one"), assistant("two")), chat(user("three"), assistant("two"))]
    dataset_id = await new_dataset(services, api, CHATS, found)
    before = await fetch_dataset(api, dataset_id, "contentHash")
    deleted = await api.mutate("deleteItems", "count", datasetId=dataset_id, filter={"search": "THREE"})
    assert deleted["count"] == 1
    assert (await fetch_dataset(api, dataset_id, "stats { total deleted }"))["stats"] == {
        "total": 1,
        "deleted": 1,
    }
    await api.mutate("restoreItems", "count", datasetId=dataset_id, filter={"search": "user"})
    assert (await fetch_dataset(api, dataset_id, "stats { deleted }"))["stats"] == {"deleted": 1}
    await api.mutate("restoreItems", "count", datasetId=dataset_id, filter={"search": "three"})
    assert await fetch_dataset(api, dataset_id, "contentHash") == before


async def test_equal_conversations_have_equal_hashes_whatever_the_order_of_keys(
    api: Api, services: Services
) -> None:
    found = chat(user(), calling(), tools=[tool()])
    reordered = json.loads(json.dumps(found, sort_keys=True))
    one = await new_dataset(services, api, CHATS, [found])
    two = await new_dataset(services, api, CHATS, [reordered])
    three = await new_dataset(services, api, CHATS, [found | {"parallel_tool_calls": True}])
    hashes = [(await fetch_dataset(api, id, "contentHash"))["contentHash"] for id in (one, two, three)]
    assert hashes[0] == hashes[1] != hashes[2]


async def test_a_conversation_is_corrected_by_a_line(api: Api, services: Services) -> None:
    dataset_id = await new_dataset(services, api, CHATS, [chat(user())])
    old = (await items(api, dataset_id))[0]["id"]
    line = chat(user("Ä?"), calling(), result(), assistant("<s>"), tools=[tool()], parallel_tool_calls=True)
    corrected = await api.mutate(
        "correctItem", "item { id values isValid problems { code } corrects { id } }", itemId=old, line=line
    )
    assert corrected["item"] | {"id": ""} == {
        "id": "", "values": [as_value(line["messages"]), as_value(line["tools"]), "true"], "isValid": True,
        "problems": [{"code": "CONTROL_TOKENS"}], "corrects": {"id": old},
    }  # fmt: skip
    stats = (await fetch_dataset(api, dataset_id, f"stats {{ {STATS} }}"))["stats"]
    assert (stats["total"], stats["valid"], stats["corrected"]) == (1, 1, 1)
    assert len(await items(api, dataset_id, search="ä?")) == 1


async def test_a_pair_and_a_prompt_are_corrected_by_a_line(
    api: Api, services: Services, worker: Worker
) -> None:
    pairs_id = await new_dataset(services, api, PAIRS, [pair()])
    old = (await items(api, pairs_id))[0]["id"]
    line = pair(user("Why?"))
    corrected = await api.mutate("correctItem", "item { values isValid }", itemId=old, line=line)
    assert corrected["item"] == {"values": [as_value(line[name]) for name in line], "isValid": True}
    texts_id = await imported_dataset(api, worker)
    old = (await items(api, texts_id))[0]["id"]
    line = {"prompt": "Capital of Mali?", "completion": "Bamako"}
    corrected = await api.mutate("correctItem", "item { values }", itemId=old, line=line)
    assert corrected["item"] == {"values": ["Capital of Mali?", "Bamako"]}


BAD_LINES: tuple[tuple[Any, str, str], ...] = (
    (chat(user(), assistant(), user()), "CONVERSATION_INVALID",
     "Message 3 (user) is the last; a conversation ends with an assistant message."),
    (chat(user(), assistant(mood="x")), "CONVERSATION_INVALID", "Message 2 (assistant) has the unknown key 'mood'."),
    (chat(user(), assistant("a\x00")), "CONVERSATION_INVALID", "The field 'messages' contains a NUL character."),
    (chat(user(), assistant("")), "FIELD_MISSING", "No assistant message to learn from has a text or a tool call."),
    (chat(user(), assistant(), metadata={}), "INVALID_LINE", "The line has the unknown key 'metadata'."),
    ([], "INVALID_LINE", "`line` is not a JSON object."),
    ("{}", "INVALID_LINE", "`line` is not a JSON object."),
)  # fmt: skip


@pytest.mark.parametrize(("line", "reason", "message"), BAD_LINES, ids=[reason for _, reason, _ in BAD_LINES])
async def test_a_line_that_breaks_a_rule_is_stored_nowhere(
    api: Api, services: Services, line: Any, reason: str, message: str
) -> None:
    dataset_id = await new_dataset(services, api, CHATS, [chat(user(), assistant())])
    before = await items(api, dataset_id, "id values correctedBy { id }")
    error = await api.refused("correctItem", itemId=before[0]["id"], line=line)
    assert (error["code"], error["reason"], error["message"]) == ("INVALID", reason, message)
    assert error["field"] == ["line"]
    assert await items(api, dataset_id, "id values correctedBy { id }") == before


async def test_a_line_of_another_format_is_refused(api: Api, services: Services, worker: Worker) -> None:
    lines = {CHATS: chat(user(), assistant()), PAIRS: pair()}
    datasets = {
        CHATS: await new_dataset(services, api, CHATS, [lines[CHATS]]),
        PAIRS: await new_dataset(services, api, PAIRS, [lines[PAIRS]]),
    }
    for item_format, other in ((CHATS, PAIRS), (PAIRS, CHATS)):
        item = (await items(api, datasets[item_format]))[0]
        error = await api.refused("correctItem", itemId=item["id"], line=lines[other])
        assert (error["reason"], error["field"]) == ("INVALID_LINE", ["line"])
    item = (await items(api, await imported_dataset(api, worker)))[0]
    assert (await api.refused("correctItem", itemId=item["id"], line=pair()))["reason"] == "INVALID_LINE"
    error = await api.refused("correctItem", itemId=item["id"], line={"prompt": "q", "completion": " "})
    assert (error["reason"], error["field"]) == ("FIELD_MISSING", ["line"])


async def test_values_of_a_conversation_are_checked_as_a_line_is(api: Api, services: Services) -> None:
    dataset_id = await new_dataset(services, api, CHATS, [chat(user(), assistant())])
    item = (await items(api, dataset_id))[0]
    for messages, reason in (
        ("[", "CONVERSATION_INVALID"), ('[{"role": "user", "content": "?"}]', "CONVERSATION_INVALID"), (" ", "FIELD_MISSING"),
    ):  # fmt: skip
        error = await api.refused("correctItem", itemId=item["id"], values=[messages, "", ""])
        assert (error["reason"], error["field"]) == (reason, ["values"])
    values = [as_value([user("?"), assistant("!")]), "", "false"]
    corrected = await api.mutate("correctItem", "item { values isValid }", itemId=item["id"], values=values)
    assert corrected["item"] == {"values": values, "isValid": True}


async def test_a_correction_has_values_or_a_line(api: Api, services: Services) -> None:
    dataset_id = await new_dataset(services, api, CHATS, [chat(user(), assistant())])
    item = (await items(api, dataset_id))[0]
    for given in (
        {},
        {"line": None, "values": None},
        {"line": chat(user(), assistant()), "values": item["values"]},
    ):
        error = await api.refused("correctItem", itemId=item["id"], **given)
        assert (error["reason"], error["message"]) == (
            "AMBIGUOUS",
            "Give `values` or `line`: one of the two.",
        )


async def test_another_users_conversations_are_not_found(api: Api, services: Services) -> None:
    dataset_id = await new_dataset(services, api, CHATS, [chat(user(), assistant())])
    item = (await items(api, dataset_id))[0]
    for item_id in (item["id"], f"{item['id'][:-2]}zz", "item_x", ""):
        error = await api.other.refused("correctItem", itemId=item_id, line=chat(user(), assistant("x")))
        assert error["code"] == "NOT_FOUND"
    query = f"query($id: ID!) {{ node(id: $id) {{ ... on DatasetItem {{ {CONVERSATION} }} }} }}"
    assert (await api.other.gql(query, id=item["id"]))["node"] is None
    assert (await api.gql(query, id=item["id"]))["node"]["conversation"]["tools"] is None


async def test_an_expected_size_is_compared_with_what_is_learned(api: Api, services: Services) -> None:
    dataset_id = await new_dataset(
        services,
        api,
        CHATS,
        [chat(user("x" * 99), assistant(text)) for text in ("eight ch", "x" * 33)],
        expectedOutputSizeChars=8,
    )
    assert [item["problems"] for item in await items(api, dataset_id, "problems { code }")] == [
        [], [{"code": "OUTPUT_TOO_LONG"}],
    ]  # fmt: skip
