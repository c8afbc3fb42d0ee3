"""Downloads of conversations, preference pairs, and prompts with completions, in the formats that trainers read."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from domain.conversations import CONVERSATION_FIELDS, ItemFormat
from tests.clients import Api
from tests.conftest import Worker
from tests.importing import QA, fetch_dataset, import_file, imported_dataset, new_dataset_of
from tests.importing import items as items_of

pytestmark = pytest.mark.anyio

CHATS: list[dict[str, Any]] = [
    {
        "messages": [
            {"role": "system", "content": "You are Lotte of the Krüger bakery."},
            {"role": "user", "content": "Open on May 1?"},
            {"role": "assistant", "content": "Yes, 6 to 18."},
            {"role": "user", "content": "And on Sundays?"},
            {"role": "assistant", "content": "From 7 to 11. 🥐"},
        ]
    },
    {
        "messages": [
            {"role": "user", "content": "Hello; =1+1"},
            {"role": "assistant", "content": "Hello!"},
        ]
    },
]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
WITH_TOOLS: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "Is it warm in Lima?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Lima"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "24 °C"},
        {"role": "assistant", "content": "Yes, 24 °C."},
    ],
    "tools": [WEATHER],
    "parallel_tool_calls": False,
}
PAIR = {
    "input": {"messages": [{"role": "user", "content": "2 + 2?"}]},
    "preferred_output": [{"role": "assistant", "content": "4."}],
    "non_preferred_output": [{"role": "assistant", "content": "5."}],
}


async def dataset_of(
    api: Api, worker: Worker, item_format: ItemFormat, lines: Sequence[dict[str, Any]], **values: Any
) -> str:
    """A dataset whose items are these lines in OpenAI's format; its id."""
    return await dataset_of_file(api, worker, item_format, "\n".join(map(json.dumps, lines)), **values)


async def dataset_of_file(
    api: Api,
    worker: Worker,
    item_format: ItemFormat,
    content: str | bytes,
    filename: str = "a.jsonl",
    **values: Any,
) -> str:
    """A dataset whose items are those of a file; its id."""
    dataset_id = await new_dataset_of(api, item_format, **values)
    done = await import_file(api, worker, dataset_id, content, filename)
    assert done["status"] == "DONE", done
    return dataset_id


async def download(api: Api, dataset_id: str, **params: str) -> httpx.Response:
    url = (await fetch_dataset(api, dataset_id, "downloadUrl"))["downloadUrl"]
    return await api.rest.get(url, params=params)


def lines_of(response: httpx.Response) -> list[Any]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/jsonl"
    return [json.loads(line) for line in response.text.splitlines()]


async def test_conversations_come_in_each_format(api: Api, worker: Worker) -> None:
    dataset_id = await dataset_of(api, worker, ItemFormat.CONVERSATION, CHATS, name="Bäckerei")
    openai = await download(api, dataset_id, format="openai")
    assert lines_of(openai) == CHATS
    assert openai.headers["content-disposition"] == 'attachment; filename="B_ckerei_v1.openai.jsonl"'
    assert lines_of(await download(api, dataset_id, format="alpaca")) == [
        {
            "instruction": "And on Sundays?",
            "input": "",
            "output": "From 7 to 11. 🥐",
            "system": "You are Lotte of the Krüger bakery.",
            "history": [["Open on May 1?", "Yes, 6 to 18."]],
        },
        {"instruction": "Hello; =1+1", "input": "", "output": "Hello!"},
    ]
    assert lines_of(await download(api, dataset_id, format="sharegpt"))[1] == {
        "conversations": [{"from": "human", "value": "Hello; =1+1"}, {"from": "gpt", "value": "Hello!"}]
    }
    assert lines_of(await download(api, dataset_id, format="TRL")) == CHATS


async def test_preference_pairs_come_in_each_format(api: Api, worker: Worker) -> None:
    dataset_id = await dataset_of(api, worker, ItemFormat.PREFERENCE, [PAIR])
    assert lines_of(await download(api, dataset_id, format="openai")) == [PAIR]
    assert lines_of(await download(api, dataset_id, format="alpaca")) == [
        {"instruction": "2 + 2?", "input": "", "chosen": "4.", "rejected": "5."}
    ]
    assert lines_of(await download(api, dataset_id, format="sharegpt")) == [
        {
            "conversations": [{"from": "human", "value": "2 + 2?"}],
            "chosen": {"from": "gpt", "value": "4."},
            "rejected": {"from": "gpt", "value": "5."},
        }
    ]
    assert lines_of(await download(api, dataset_id, format="trl")) == [
        {
            "prompt": [{"role": "user", "content": "2 + 2?"}],
            "chosen": [{"role": "assistant", "content": "4."}],
            "rejected": [{"role": "assistant", "content": "5."}],
        }
    ]


async def test_prompts_with_completions_come_in_each_format(api: Api, worker: Worker) -> None:
    dataset_id = await imported_dataset(api, worker, "question,answer\nOne?,1\n")
    expected = {
        "openai": {"prompt": "One?", "completion": "1"},
        "alpaca": {"instruction": "One?", "input": "", "output": "1"},
        "sharegpt": {"conversations": [{"from": "human", "value": "One?"}, {"from": "gpt", "value": "1"}]},
        "trl": {
            "prompt": [{"role": "user", "content": "One?"}],
            "completion": [{"role": "assistant", "content": "1"}],
        },
    }
    for format, line in expected.items():
        assert lines_of(await download(api, dataset_id, format=format)) == [line]


async def test_json_is_one_array_of_the_rows_that_json_lines_have(api: Api, worker: Worker) -> None:
    for dataset_id in (
        await imported_dataset(api, worker, 'question,answer\n"a ""b""",ü\n=1+1,\n'),
        await dataset_of(api, worker, ItemFormat.CONVERSATION, [*CHATS, WITH_TOOLS]),
    ):
        response = await download(api, dataset_id, format="json")
        assert response.headers["content-type"] == "application/json"
        assert response.headers["content-disposition"].endswith('_v1.json"')
        assert response.json() == lines_of(await download(api, dataset_id, format="jsonl"))
        assert (await download(api, dataset_id, format="json", split="preview")).json() == []


async def test_a_table_of_conversations_has_the_fields_as_json_texts(api: Api, worker: Worker) -> None:
    dataset_id = await dataset_of(api, worker, ItemFormat.CONVERSATION, [WITH_TOOLS, CHATS[1]])
    rows = lines_of(await download(api, dataset_id, format="jsonl"))
    assert [list(row) for row in rows] == [list(CONVERSATION_FIELDS)] * 2
    assert [json.loads(rows[0][name]) for name in CONVERSATION_FIELDS] == list(WITH_TOOLS.values())
    assert (rows[1]["tools"], rows[1]["parallel_tool_calls"]) == ("", "")
    for format in ("csv", "xlsx"):
        assert (await download(api, dataset_id, format=format)).status_code == 200


async def test_what_a_format_cannot_hold_is_a_conflict_that_names_the_first_item(
    api: Api, worker: Worker
) -> None:
    unweighted = {"messages": [*CHATS[1]["messages"], {"role": "user", "content": "?"}]}
    unweighted["messages"].append({"role": "assistant", "content": "!"})
    unlearned = json.loads(json.dumps(unweighted))
    unlearned["messages"][3]["weight"] = 0
    dataset_id = await dataset_of(
        api, worker, ItemFormat.CONVERSATION, [CHATS[0], unlearned, WITH_TOOLS, unlearned]
    )
    ids = [item["id"] for item in await items_of(api, dataset_id)]
    problems = {
        "alpaca": (1, "message 4 has the weight 0"),
        "sharegpt": (1, "message 4 has the weight 0"),
        "trl": (1, "message 4 has the weight 0 and is not before all that are learned"),
    }
    for format, (index, problem) in problems.items():
        response = await download(api, dataset_id, format=format)
        assert (response.status_code, response.json()) == (
            409,
            {
                "detail": f"The format {format} cannot hold the item {ids[index]}: {problem}.",
                "error_code": "FORMAT_CANNOT_HOLD",
                "context": {"itemId": ids[index], "position": index},
            },
        )
    assert len(lines_of(await download(api, dataset_id, format="openai"))) == 4


async def test_items_that_are_not_selected_do_not_matter(api: Api, worker: Worker) -> None:
    dataset_id = await dataset_of(api, worker, ItemFormat.CONVERSATION, [WITH_TOOLS, CHATS[1]])
    ids = [item["id"] for item in await items_of(api, dataset_id)]
    refused = await download(api, dataset_id, format="sharegpt")
    assert refused.json()["detail"] == (
        f"The format sharegpt cannot hold the item {ids[0]}: it has `parallel_tool_calls`."
    )
    await api.mutate("deleteItems", "count", itemIds=[ids[0]])
    assert len(lines_of(await download(api, dataset_id, format="sharegpt"))) == 1
    assert (await download(api, dataset_id, format="sharegpt", items="all")).status_code == 409


async def test_an_invalid_item_without_messages_is_left_out_on_request(api: Api, worker: Worker) -> None:
    content = "\n".join([*map(json.dumps, CHATS), "no JSON"])
    dataset_id = await dataset_of_file(api, worker, ItemFormat.CONVERSATION, content)
    refused = await download(api, dataset_id, format="openai")
    assert refused.status_code == 409
    assert refused.json()["detail"].endswith(
        ": it is invalid and not made of messages. `items=valid` leaves invalid items out."
    )
    assert lines_of(await download(api, dataset_id, format="openai", items="valid")) == CHATS


async def test_the_systems_prompt_of_a_dataset_is_in_no_item(api: Api, worker: Worker) -> None:
    chats = CHATS[1:]
    dataset_id = await dataset_of(
        api, worker, ItemFormat.CONVERSATION, chats, systemPrompt="Answer in French."
    )
    for format in ("openai", "alpaca", "sharegpt", "trl"):
        assert "French" not in (await download(api, dataset_id, format=format)).text


async def test_a_download_is_imported_as_the_same_items(api: Api, worker: Worker) -> None:
    plain = [line | {"tools": []} for line in CHATS[1:]]
    rich = [*CHATS, {name: WITH_TOOLS[name] for name in ("messages", "tools")}]
    everything = [
        *rich,
        WITH_TOOLS,
        {"messages": [{"role": "system", "content": ""}, *CHATS[1]["messages"]], "tools": None},
    ]
    tables = ("csv", "jsonl", "json")
    for item_format, lines, formats in (
        (ItemFormat.CONVERSATION, CHATS, ("alpaca",)),
        (ItemFormat.CONVERSATION, rich, ("sharegpt", "trl")),
        (ItemFormat.CONVERSATION, plain, ("sharegpt", "trl")),
        (ItemFormat.CONVERSATION, everything, ("openai", *tables)),
        (ItemFormat.PREFERENCE, [PAIR], ("openai", "alpaca", "sharegpt", "trl", *tables)),
    ):
        first = await dataset_of(api, worker, item_format, lines)
        for format in formats:
            response = await download(api, first, format=format)
            name = response.headers["content-disposition"].split('"')[1]
            again = await dataset_of_file(api, worker, item_format, response.content, name)
            hashes = [(await fetch_dataset(api, id, "contentHash"))["contentHash"] for id in (first, again)]
            assert hashes[0] == hashes[1], (format, lines)


async def test_prompts_with_completions_are_imported_as_the_same_items(api: Api, worker: Worker) -> None:
    first = await imported_dataset(api, worker, 'question,answer\n"a;=b\nc"," d\n"\n=1+1,2\n')
    for format in ("openai", "alpaca"):
        again = await new_dataset_of(api, ItemFormat.PROMPT_COMPLETION, **QA)
        content = (await download(api, first, format=format)).content
        await import_file(api, worker, again, content, "a.jsonl", format=format.upper())
        hashes = [(await fetch_dataset(api, id, "contentHash"))["contentHash"] for id in (first, again)]
        assert hashes[0] == hashes[1], format


async def test_prompts_with_completions_come_back_as_conversations(api: Api, worker: Worker) -> None:
    first = await imported_dataset(api, worker, "question,answer\nOne?,1\n")
    messages = [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "1"}]
    for format in ("sharegpt", "trl"):
        content = (await download(api, first, format=format)).content
        again = await dataset_of_file(api, worker, ItemFormat.CONVERSATION, content)
        assert lines_of(await download(api, again, format="openai")) == [{"messages": messages}], format


async def test_only_the_owner_downloads(api: Api, worker: Worker, anonymous: httpx.AsyncClient) -> None:
    dataset_id = await dataset_of(api, worker, ItemFormat.CONVERSATION, [WITH_TOOLS])
    url = (await fetch_dataset(api, dataset_id, "downloadUrl"))["downloadUrl"]
    for format in ("openai", "sharegpt", "json"):
        assert (await anonymous.get(url, params={"format": format})).status_code == 401
        response = await api.other.rest.get(url, params={"format": format})
        assert (response.status_code, response.json()["error_code"]) == (404, "DATASET_NOT_FOUND")


async def test_head_has_the_status_and_the_headers_of_the_download(api: Api, worker: Worker) -> None:
    dataset_id = await dataset_of(api, worker, ItemFormat.CONVERSATION, [WITH_TOOLS])
    url = (await fetch_dataset(api, dataset_id, "downloadUrl"))["downloadUrl"]
    head = await api.rest.head(url, params={"format": "openai"})
    assert (head.status_code, head.headers["content-type"]) == (200, "application/jsonl")
    assert (await api.rest.head(url, params={"format": "alpaca"})).status_code == 409
